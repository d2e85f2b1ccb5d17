// Terse, to stay below 1 KiB: sites embed it. Options: /docs.
try {
	let d = document, n = navigator, h = history, s = d.currentScript, o = s.dataset, url = new URL("/event", s.src)
	let off = "respectDnt" in o && (n.doNotTrack == 1 || n.globalPrivacyControl), id = o.user || null, last
	statsd = (type, path = location.pathname) => {
		try {
			let body = JSON.stringify({ site_id: o.site, event_type: type, path, user_id: id, timestamp: new Date() })
			off || n.sendBeacon && n.sendBeacon(url, body) || fetch(url, { method: "POST", body, keepalive: true }).catch(e => e)
		} catch {}
	}
	let view = () => d.prerendering || last == (last = location.pathname) || statsd("page_view")
	for (let f of ["pushState", "replaceState"]) {
		let old = h[f]
		h[f] = (...all) => view(old.apply(h, all))
	}
	addEventListener("popstate", view)
	d.addEventListener("prerenderingchange", view)
	setTimeout(view)
	id || off || "anonymous" in o || (id = localStorage.statsd = localStorage.statsd || "" + Math.random())
} catch {}
