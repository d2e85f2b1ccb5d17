/** A panel on screen: heading, pickers, message, guide, tiles and cards, in the state that its numbers are in. */

import { button, element, setText } from "../widgets/element.js";
import { makeGuide } from "../widgets/guide.js";
import { STALE_MS } from "../wire/store.js";
import { makeCard } from "./card.js";
import { removeCharts } from "./charts.js";
import { panelState, stateMessage } from "./states.js";
import { makeTiles } from "./tiles.js";
import { makeTurns } from "./turns.js";

/** @import { Guide } from "../widgets/guide.js" */
/** @import { Source } from "../wire/feed.js" */
/** @import { Link, Snapshot, Store } from "../wire/store.js" */
/** @import { Card, Show } from "./card.js" */
/** @import { Message } from "./states.js" */
/** @import { Tile } from "./tiles.js" */
/**
 * What a folder or file in panels/ exports. `changed` asks for a new drawing, `clear` removes the numbers at once.
 * @template Payload what it shows @template [Topic=Payload] what its topic brings
 * @typedef {(store: Store, changed: () => void, clear: () => void) => Panel<Payload, Topic>} MakePanel
 */
/**
 * @template Payload
 * @template [Topic=Payload]
 * @typedef {object} Panel
 * @property {string} id also its address: `/#logins`
 * @property {string} title
 * @property {string} hint
 * @property {Source} source
 * @property {Tile<Payload>[]} tiles
 * @property {Card<Payload>[]} cards
 * @property {(payload: Payload) => boolean} isEmpty whether nothing was ever stored
 * @property {(payload: Payload) => string} summary the panel in a sentence, for screen readers
 * @property {Guide} guide
 * @property {(payload: Payload) => string} [remark] what is special about these numbers, or nothing
 * @property {HTMLElement} [bar] where the reader picks what to see
 * @property {HTMLElement} [corner] stands opposite the heading
 * @property {Gate} [gate]
 * @property {() => Source[]} [sources] further topics it needs
 * @property {() => void} [read] follows the address
 * @property {() => void} [enter] the panel comes on screen
 * @property {(known: Known<Topic>, now: number) => Known<Payload>} [complete] adds the numbers that it queries itself
 */
/**
 * While it is `turning`, its numbers are of the previous choice, and those of the present one are on their way.
 * @template Payload @typedef {{link: Link, snapshot: Snapshot<Payload> | undefined, turning?: boolean}} Known
 */
/**
 * Stands in place of the numbers for readers who may not see them yet; the sentence is for screen readers.
 * @typedef {{node: HTMLElement, isClosed: () => boolean, sentence: () => string}} Gate
 */
/** @typedef {{snapshot: Snapshot | undefined, sentence: string}} View what is shown, and its state in a sentence */

/** @template Payload @param {MakePanel<Payload, any>} make @param {Store} store @param {() => void} changed @param {() => void} retry */
export function makePanel(make, store, changed, retry) {
  const panel = make(store, changed, clear);
  const message = makeMessage(retry);
  let numbers = makeNumbers(panel);
  const section = makeSection(panel, message.node, numbers.node);
  /** @type {Payload | undefined} */
  let shown;
  let enteredAt = 0;

  /** New nodes: so no number can be left behind in an old one. */
  function clear() {
    const next = makeNumbers(panel);
    numbers.node.after(next.node);
    numbers.remove();
    numbers = next;
    shown = undefined;
  }

  const sources = () => [panel.source, ...(panel.sources?.() ?? [])];

  /** @param {number} now */
  function known(now) {
    const link = { ...store.link, since: Math.max(store.link.since, enteredAt) };
    /** Only the panel knows what its topic brings. @type {Known<any>} */
    const own = { link, snapshot: store.snapshot(panel.source.topic) };
    return panel.complete?.(own, now) ?? own;
  }

  function enter() {
    enteredAt = Date.now();
    panel.read?.();
    panel.enter?.();
    if (store.link.connection === "live") for (const { topic } of sources()) store.forgetOlder(topic, enteredAt - STALE_MS);
  }

  /** @param {number} now @returns {View} */
  function show(now) {
    const all = known(now);
    const view = panel.gate?.isClosed() ? viewClosed(panel.gate, all.link, now) : viewOf(panel, all, now);
    section.dataset.state = view.state;
    section.dataset.numbers = view.numbers;
    section.setAttribute("aria-busy", String(all.turning ?? false));
    message.show(view.message);
    const payload = view.snapshot?.payload;
    if (payload && view.numbers === "some" && payload !== shown) {
      shown = payload;
      numbers.show(payload);
    }
    return view;
  }

  window.addEventListener("hashchange", () => {
    panel.read?.();
    changed();
  });
  return { id: panel.id, title: panel.title, section, sources, enter, show };
}

/** @param {Gate} gate @param {Link} link @param {number} now */
function viewClosed(gate, link, now) {
  const message = link.connection === "offline" ? stateMessage("offline", link, undefined, now) : null;
  return { state: "closed", numbers: "none", message, snapshot: undefined, sentence: gate.sentence() };
}

/** @template Payload @param {Panel<Payload, any>} panel @param {Known<Payload>} known @param {number} now */
function viewOf(panel, { link, snapshot }, now) {
  const payload = snapshot?.payload;
  const isEmpty = payload !== undefined && panel.isEmpty(payload);
  const state = panelState(link, snapshot, isEmpty, now);
  const message = stateMessage(state, link, snapshot, now);
  const [numbers, sentence] = !payload ? ["none", ""] : isEmpty ? ["empty", `${panel.guide.title}.`] : ["some", panel.summary(payload)];
  return { state, numbers, message, snapshot, sentence: message ? `${message.title}.` : sentence };
}

/** @param {Panel<any>} panel @param {HTMLElement} message @param {HTMLElement} numbers */
function makeSection({ id, title, hint, bar, corner, gate, guide }, message, numbers) {
  return element(
    "section",
    { class: "panel", id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}`, "data-panel": id },
    element("header", { class: "panel-top" }, element("h1", {}, title), element("p", { class: "hint" }, hint), corner),
    bar,
    message,
    gate?.node,
    makeGuide(guide),
    numbers,
  );
}

/** @param {() => void} retry @returns {{node: HTMLElement, show: (message: Message | null) => void}} */
function makeMessage(retry) {
  const title = element("strong");
  const words = element("span");
  const again = button({ class: "action", "data-retry": "" }, "Retry now", retry);
  const node = element("div", { class: "message", "data-message": "" }, element("p", {}, title, " ", words), again);
  return {
    node,
    show(message) {
      node.hidden = message === null;
      setText(title, message?.title ?? "");
      setText(words, message?.words ?? "");
    },
  };
}

/** @template Payload @param {Panel<Payload, any>} panel @returns {{node: HTMLElement, show: Show<Payload>, remove: () => void}} */
function makeNumbers(panel) {
  const remark = element("p", { class: "remark", "data-remark": "", hidden: "" });
  const tiles = makeTiles(panel.tiles);
  const turns = makeTurns();
  const cards = panel.cards.map((card) => makeCard(panel.id, card, turns));
  const grid = element("div", { class: "cards" }, ...cards.map((card) => card.section));
  const node = element("div", { class: "numbers" }, remark, tiles.list, grid);
  return {
    node,
    show(payload) {
      setText(remark, panel.remark?.(payload) ?? "");
      remark.hidden = !remark.textContent;
      tiles.show(payload);
      for (const card of cards) card.show(payload);
    },
    remove() {
      turns.clear();
      node.remove();
      removeCharts(node);
    },
  };
}
