// @ts-check
/** One panel on screen: heading, message, guide, tiles and cards, in the state its numbers are in. */

import { makeCard } from "./card.js";
import { button, element, setText } from "./element.js";
import { makeGuide } from "./guide.js";
import { panelState, stateMessage } from "./states.js";
import { makeTiles } from "./tiles.js";

/** @typedef {import("./read.js").Json} Json */
/**
 * @typedef {object} Panel a file in panels/ exports one
 * @property {string} id also its address: `/#logins`
 * @property {string} title
 * @property {string} hint
 * @property {import("./feed.js").Source} source
 * @property {import("./tiles.js").Tile[]} tiles
 * @property {import("./card.js").Card[]} cards
 * @property {(payload: Json) => boolean} isEmpty whether nothing was ever stored
 * @property {(payload: Json) => string} summary the panel in a sentence, for who listens
 * @property {{title: string, steps: import("./guide.js").Step[]}} guide
 */

/**
 * @param {Panel} panel
 * @param {() => void} retry
 */
export function makePanel(panel, retry) {
  const tiles = makeTiles(panel.tiles);
  const cards = panel.cards.map((card) => makeCard(panel.id, card));
  const title = element("strong");
  const words = element("span");
  const message = element(
    "div",
    { class: "message", "data-message": "" },
    element("p", {}, title, " ", words),
    button({ class: "action", "data-retry": "" }, "Retry now", retry),
  );
  const section = element(
    "section",
    { class: "panel", id: `panel-${panel.id}`, role: "tabpanel", "aria-labelledby": `tab-${panel.id}`, "data-panel": panel.id },
    element("header", { class: "panel-top" }, element("h1", {}, panel.title), element("p", { class: "hint" }, panel.hint)),
    message,
    makeGuide(panel.guide.title, panel.guide.steps),
    element("div", { class: "numbers" }, tiles.list, element("div", { class: "cards" }, ...cards.map((card) => card.section))),
  );
  /** @type {Json | undefined} */
  let shown;

  return {
    section,
    /**
     * @param {import("./store.js").Link} link
     * @param {import("./store.js").Snapshot | undefined} snapshot
     * @param {number} now
     * @returns {string} the state in a sentence
     */
    show(link, snapshot, now) {
      const payload = snapshot?.payload;
      const empty = payload !== undefined && panel.isEmpty(payload);
      const state = panelState(link, snapshot, empty, now);
      const said = stateMessage(state, link, snapshot, now);
      section.dataset.state = state;
      section.dataset.numbers = payload ? (empty ? "empty" : "some") : "none";
      message.hidden = said === null;
      setText(title, said?.title ?? "");
      setText(words, said?.words ?? "");
      if (payload && !empty && payload !== shown) {
        shown = payload;
        tiles.show(payload);
        for (const card of cards) card.show(payload);
      }
      if (said) return `${said.title}.`;
      if (empty) return `${panel.guide.title}.`;
      return payload ? panel.summary(payload) : "";
    },
  };
}
