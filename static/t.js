// @ts-check
// The tracker, which sites embed: a view for the page and for each navigation of a single-page site. See /docs.
// The page is not ours: it may have replaced what we use, and named an image `currentScript`. So `document` is asked
// through its class, and JSON is written here, where no `toJSON` changes it.
(() => {
  try {
    const { toISOString } = Date.prototype
    /** @param {string} name */
    const own = name => Object.getOwnPropertyDescriptor(Document.prototype, name)?.get?.call(document)
    const script = own("currentScript")
    const started = Symbol.for("statsd")
    if (!(script instanceof HTMLScriptElement) || !/^https?:$/.test(location.protocol) || started in window) return

    const { site, user, anonymous, respectDnt } = script.dataset
    const url = new URL("event", script.src) // beside the script, whatever the prefix
    if (!site) return console.warn("t.js: data-site is missing")
    Object.assign(window, { [started]: true })
    const isOff =
      respectDnt != null && (navigator.doNotTrack == "1" || /** @type {any} */ (navigator).globalPrivacyControl)

    let id = user
    try {
      if (!id && !isOff && anonymous == null) id = localStorage.statsd = localStorage.statsd || "" + Math.random()
    } catch {} // it may keep nothing

    /** @param {string} character */
    const escaped = character => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0")
    /** @param {unknown} value */
    const quoted = value => '"' + `${value}`.replace(/["\\\0-\x1f]/g, escaped) + '"'

    /** @param {string} body */
    const send = body => {
      try {
        if (isOff || navigator.sendBeacon(url, body)) return
      } catch {} // missing, or replaced by a blocker
      fetch(url, { method: "POST", body, keepalive: true }).catch(() => {})
    }

    // A hash with a slash in front is a route; any other is an anchor in the same page.
    const here = () => location.pathname + (/^#!?\/[^?]+/.exec(location.hash) || "")

    /** @param {string} type */
    const statsd = (type, path = here()) => {
      try {
        const now = quoted(toISOString.call(new Date()))
        const what = `"site_id":${quoted(site)},"event_type":${quoted(type)},"path":${quoted(path)}`
        send(`{${what},"timestamp":${now},"sent_at":${now}${id ? `,"user_id":${quoted(id)}` : ""}}`)
      } catch {}
    }

    let last = ""
    const view = () => {
      if (!own("prerendering") && last != here()) statsd("page_view", (last = here()))
    }
    for (const name of /** @type {const} */ (["pushState", "replaceState"])) {
      const original = history[name]
      history[name] = function (...all) {
        original.apply(this, all)
        view()
      }
    }
    for (const name of ["popstate", "hashchange"]) addEventListener(name, view)
    window.navigation?.addEventListener("currententrychange", view)
    addEventListener.call(document, "prerenderingchange", view)
    addEventListener("pageshow", event => {
      if (!event.persisted) return
      last = "" // back from the back/forward cache
      view()
    })
    Object.assign(window, { statsd })
    setTimeout(view) // one view, if the page changes its address at once
  } catch {}
})()
