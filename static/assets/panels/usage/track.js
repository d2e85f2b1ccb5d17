// @ts-check
/**
 * What is used on this page is what the usage panel shows: while somebody is logged in, the server hears of it.
 * That it may fail is nobody's concern: it is never in the way of what was done. `contracts.md` §3.3.
 */

import { tell } from "../../wire/ask.js";
import { session } from "../../wire/session.js";

/**
 * @typedef {object} Watched
 * @property {"click" | "change" | "submit"} event
 * @property {string} where a selector
 * @property {(panel: string, data: DOMStringMap) => string} feature
 */

/** The longest that numbers wait for what was clicked right before. */
const TRACKED_MS = 1_000;

/**
 * What is used in the panels, the first that fits; the filters and charts of the usage panel say it themselves. Never what
 * was typed or picked, and nothing of the forms in which one logs in: of those, none has `data-form`.
 * @type {Watched[]}
 */
const WATCHED = [
  { event: "click", where: "[data-tab]:not([aria-selected=true])", feature: (_, { tab }) => `panel_${tab}` },
  { event: "click", where: "[data-panel=usage] [data-export]", feature: () => "export_data" },
  { event: "click", where: "[data-panel=usage] [data-refresh]", feature: () => "refresh_data" },
  { event: "click", where: "[data-export], [data-menu] a", feature: (panel) => `${panel}_export` },
  { event: "click", where: "[data-toggle]", feature: (panel) => `${panel}_table` },
  { event: "click", where: "[data-copy]", feature: (panel) => `${panel}_copy` },
  { event: "click", where: "[data-panel=pageviews] [data-pick]", feature: (panel) => `${panel}_site` },
  { event: "click", where: "[data-panel]:not([data-panel=usage]) [data-pick]", feature: (panel) => `${panel}_pick` },
  { event: "click", where: ":is([data-older], [data-newer]):not([aria-disabled=true])", feature: (panel) => `${panel}_page` },
  { event: "click", where: "[data-longer]", feature: (panel) => `${panel}_longer` },
  { event: "click", where: "[data-more]", feature: (panel, { more }) => `${panel}_${named(more)}_more` },
  { event: "click", where: "[data-new]:not([open]) > summary", feature: (panel) => `${panel}_new` },
  { event: "click", where: "[data-day-steps] :not([aria-disabled=true])", feature: (panel) => `${panel}_day` },
  { event: "change", where: "input[data-site]", feature: (panel) => `${panel}_site` },
  { event: "change", where: "input[data-day]:valid", feature: (panel) => `${panel}_day` },
  { event: "change", where: "[data-switch]", feature: (panel, data) => `${panel}_${data.switch}` },
  { event: "change", where: "[data-select]", feature: (panel, { select }) => `${panel}_${named(select)}_select` },
  { event: "submit", where: "[data-form]:not(:has([aria-disabled=true]))", feature: (panel, { form }) => `${panel}_${named(form)}_form` },
];

/** @param {string | undefined} hook */
const named = (hook = "") => hook.replaceAll("-", "_");

/** @type {Set<Promise<void>>} */
const underWay = new Set();

/** @param {string} feature that was used */
export function track(feature) {
  const { user } = session;
  if (!user) return;
  const told = tell("/track", { feature_name: feature }).then((answer) => {
    underWay.delete(told);
    if (answer.status === 401) session.expire(user, answer);
  });
  underWay.add(told);
}

/** Until the server has heard of everything so far, or is slow: then the numbers follow by themselves. */
export async function tracked() {
  const patience = new Promise((done) => window.setTimeout(done, TRACKED_MS));
  await Promise.race([Promise.all(underWay), patience]);
}

/** From now on, what is used is tracked; before the page itself reacts, so that its next numbers count it. */
export function watch() {
  for (const event of ["click", "change", "submit"]) document.addEventListener(event, notice, { capture: true });
}

/** @param {Event} event */
function notice({ type, target }) {
  if (!(target instanceof Element)) return;
  for (const { event, where, feature } of WATCHED) {
    const used = type === event ? target.closest(where) : null;
    if (!(used instanceof HTMLElement)) continue;
    const panel = used.closest("[data-panel]")?.getAttribute("data-panel") ?? "";
    return track(feature(panel, used.dataset));
  }
}
