// @ts-check
/** One panel on screen: heading, pickers, message, guide, tiles and cards, in the state its numbers are in. */

import { button, element, setText } from "../widgets/element.js";
import { makeGuide } from "../widgets/guide.js";
import { STALE_MS } from "../wire/store.js";
import { makeCard } from "./card.js";
import { panelState, stateMessage } from "./states.js";
import { makeTiles } from "./tiles.js";

/** @import { Step } from "../widgets/guide.js" */
/** @import { Source } from "../wire/feed.js" */
/** @import { Json } from "../wire/read.js" */
/** @import { Link, Snapshot, Store } from "../wire/store.js" */
/** @import { Card, Shown } from "./card.js" */
/** @import { Message } from "./states.js" */
/** @import { Tile } from "./tiles.js" */
/**
 * @typedef {object} Panel a file in panels/ exports one
 * @property {string} id also its address: `/#logins`
 * @property {string} title
 * @property {string} hint
 * @property {Source} source
 * @property {Tile[]} tiles
 * @property {Card[]} cards
 * @property {(payload: Json) => boolean} isEmpty whether nothing was ever stored
 * @property {(store: Store, changed: () => void, clear: () => void) => Detail} [detail] `clear` leaves
 *   nothing of the numbers that were shown
 * @property {(payload: Json) => string} [remark] what is special about these numbers; empty where nothing is
 * @property {(payload: Json) => string} summary the panel in a sentence, for who listens
 * @property {{title: string, steps: Step[]}} guide
 */
/**
 * @typedef {object} Detail what the reader picks in a panel, and the numbers fetched for it
 * @property {HTMLElement} bar where it is picked
 * @property {HTMLElement} [corner] what stands opposite the heading
 * @property {Gate} [gate]
 * @property {() => Source[]} [sources] what is wanted beside the panel's own
 * @property {() => void} enter the panel comes on screen
 * @property {(known: Known, now: number) => Known} complete adds the fetched numbers; no snapshot while there are none
 */
/**
 * @typedef {object} Known
 * @property {Link} link
 * @property {Snapshot | undefined} snapshot
 * @property {boolean} [turning] these are the numbers of what was picked before, while the others are on their way
 */
/**
 * @typedef {object} Gate what stands in place of the numbers for who may not see them yet
 * @property {HTMLElement} node
 * @property {() => boolean} isClosed
 * @property {() => string} sentence for who listens
 */

/**
 * @param {Panel} panel
 * @param {Store} store
 * @param {() => void} changed
 * @param {() => void} retry
 */
export function makePanel(panel, store, changed, retry) {
  const detail = panel.detail?.(store, changed, clear);
  const gate = detail?.gate;
  let numbers = makeNumbers(panel);
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
    element(
      "header",
      { class: "panel-top" },
      element("h1", {}, panel.title),
      element("p", { class: "hint" }, panel.hint),
      ...(detail?.corner ? [detail.corner] : []),
    ),
    ...(detail ? [detail.bar] : []),
    message,
    ...(gate ? [gate.node] : []),
    makeGuide(panel.guide.title, panel.guide.steps),
    numbers.node,
  );
  /** @type {Json | undefined} */
  let shown;
  let since = 0;

  const sources = () => [panel.source, ...(detail?.sources?.() ?? [])];

  /** @param {number} now */
  function known(now) {
    const link = { ...store.link, since: Math.max(store.link.since, since) };
    /** @type {Known} */
    const all = { link, snapshot: store.snapshot(panel.source.topic) };
    return detail ? detail.complete(all, now) : all;
  }

  /** @param {Message | null} said */
  function say(said) {
    message.hidden = said === null;
    setText(title, said?.title ?? "");
    setText(words, said?.words ?? "");
  }

  /**
   * @param {Gate} gate
   * @param {Known} known
   * @param {number} now
   */
  function close(gate, { link }, now) {
    section.dataset.state = "closed";
    section.dataset.numbers = "none";
    say(link.connection === "offline" ? stateMessage("offline", link, undefined, now) : null);
    return { snapshot: undefined, sentence: gate.sentence() };
  }

  /** They are made anew: so nothing of them can be forgotten to be emptied. */
  function clear() {
    const next = makeNumbers(panel);
    numbers.node.replaceWith(next.node);
    numbers.discard();
    numbers = next;
    shown = undefined;
  }

  return {
    section,
    sources,
    /** The panel comes on screen. */
    enter() {
      since = Date.now();
      detail?.enter();
      if (store.link.connection === "live") for (const { topic } of sources()) store.forgetOlder(topic, since - STALE_MS);
    },
    /**
     * @param {number} now
     * @returns {{snapshot: Snapshot | undefined, sentence: string}} what is shown, and the state in words
     */
    show(now) {
      const { link, snapshot, turning = false } = known(now);
      if (gate?.isClosed()) return close(gate, { link, snapshot }, now);
      const payload = snapshot?.payload;
      const empty = payload !== undefined && panel.isEmpty(payload);
      const state = panelState(link, snapshot, empty, now);
      const said = stateMessage(state, link, snapshot, now);
      section.dataset.state = state;
      section.dataset.numbers = payload ? (empty ? "empty" : "some") : "none";
      section.setAttribute("aria-busy", String(turning));
      say(said);
      if (payload && !empty && payload !== shown) {
        shown = payload;
        numbers.show(payload);
      }
      if (said) return { snapshot, sentence: `${said.title}.` };
      if (empty) return { snapshot, sentence: `${panel.guide.title}.` };
      return { snapshot, sentence: payload ? panel.summary(payload) : "" };
    },
  };
}

/**
 * Tiles and cards.
 * @param {Panel} panel
 * @returns {Shown & {node: HTMLElement}}
 */
function makeNumbers(panel) {
  const remark = element("p", { class: "remark", "data-remark": "", hidden: "" });
  const tiles = makeTiles(panel.tiles);
  const cards = panel.cards.map((card) => makeCard(panel.id, card));
  return {
    node: element(
      "div",
      { class: "numbers" },
      remark,
      tiles.list,
      element("div", { class: "cards" }, ...cards.map((card) => card.section)),
    ),
    show(payload) {
      setText(remark, panel.remark?.(payload) ?? "");
      remark.hidden = !remark.textContent;
      tiles.show(payload);
      for (const card of cards) card.show(payload);
    },
    discard() {
      for (const card of cards) card.discard();
    },
  };
}
