/**
 * Reports what is used on this page, while somebody is logged in: this is what the usage panel shows. A failure is ignored,
 * and nothing waits for it.
 */

import { post } from "../../wire/ask.js";
import { session } from "../../wire/session.js";

/** The longest that numbers wait for the reports sent right before. */
const TRACKED_MS = 1_000;

/**
 * What is watched; the first match counts. The filters and charts of the usage panel report themselves. Never watched: what
 * is typed or picked, and the forms for logging in, which have no `data-form`.
 * @type {{event: string, where: string, feature: (panel: string, data: DOMStringMap) => string}[]}
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

export function makeTracker() {
  /** @type {Set<Promise<void>>} */
  const underWay = new Set();

  /** @param {string} feature that was used */
  function track(feature) {
    const { user } = session;
    if (!user || !feature) return;
    const report = post("/track", { feature_name: feature }).then((answer) => {
      underWay.delete(report);
      if (answer.status === 401) session.expire(user, answer);
    });
    underWay.add(report);
  }

  /** Resolves when all reports so far are stored. If the server is slow, the numbers do not wait for them. */
  async function tracked() {
    const patience = new Promise((resolve) => window.setTimeout(resolve, TRACKED_MS));
    await Promise.race([Promise.all(underWay), patience]);
  }

  // Reported before the page reacts, so that its next numbers include it.
  for (const type of ["click", "change", "submit"])
    document.addEventListener(type, (event) => track(featureOf(event)), { capture: true });
  return { track, tracked };
}

/** @param {Event} event @returns {string} the feature that is used, or nothing */
function featureOf({ type, target }) {
  if (!(target instanceof Element)) return "";
  for (const { event, where, feature } of WATCHED) {
    const used = type === event ? target.closest(where) : null;
    if (!(used instanceof HTMLElement)) continue;
    const panel = used.closest("[data-panel]")?.getAttribute("data-panel") ?? "";
    return feature(panel, used.dataset);
  }
  return "";
}
