// @ts-check
/** Choosing one of many rows: the newest come with the topic, older ones when the reader asks for them. */

import { ask } from "../wire/ask.js";
import { list, text } from "../wire/read.js";
import { button, element, setText } from "./element.js";

/** @import { Json } from "../wire/read.js" */
/**
 * @typedef {object} Rows
 * @property {string} label
 * @property {string} id
 * @property {string} address of the pages of them all, newest first
 * @property {string} key where in a page they are
 * @property {(row: Json) => string} write
 */

/** So many come with the topic, if there are so many. */
const NEWEST = 100;
const PAGE = 1_000;
/** Owner 2 comes before Owner 10. */
const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;

/** @param {Rows} rows */
export function makeSelect({ label, id, address, key, write }) {
  const select = element("select", { "data-select": id, required: "" });
  const more = button({ class: "tool", "data-more": id, "aria-label": `Older: ${label}`, hidden: "" }, "Older…", load);
  const field = element("label", { class: "field" }, label, select);
  /** @type {Map<string, string>} */
  const known = new Map();
  /** Where the next page begins; null after the last one. @type {string | null | undefined} */
  let before;
  let without = "";
  let shown = "";

  /** @param {Json[]} given */
  function learn(given) {
    for (const row of given) known.set(text(row.id), write(row));
  }

  function render() {
    const offered = [...known].filter(([own]) => own !== without).sort(([, a], [, b]) => inOrder(a, b));
    const now = JSON.stringify(offered);
    if (now === shown) return;
    shown = now;
    const chosen = select.value;
    const options = offered.map(([value, words]) => element("option", { value }, words));
    select.replaceChildren(element("option", { value: "" }, offered.length ? "Choose…" : "None to choose yet"), ...options);
    select.value = offered.some(([own]) => own === chosen) ? chosen : "";
  }

  async function load() {
    setText(more, "Loading…");
    const { payload, reason } = await ask(`${address}?limit=${PAGE}&before=${before}`);
    setText(more, payload ? "Older…" : `Older… (${reason})`);
    if (!payload) return;
    learn(list(payload[key]));
    before = text(payload.next) || null;
    more.hidden = before === null;
    render();
  }

  return {
    fields: [field, more],
    value: () => select.value,
    /** What the chosen one is called. */
    words: () => known.get(select.value) ?? "",
    /**
     * Offers a row that was just made, and chooses it.
     * @param {Json} row
     */
    choose(row) {
      learn([row]);
      render();
      select.value = text(row.id);
    },
    /**
     * @param {Json[]} newest
     * @param {string} [except] the id that is not offered
     */
    show(newest, except = "") {
      learn(newest);
      without = except;
      if (before === undefined && newest.length >= NEWEST) {
        before = text(newest.at(-1)?.id);
        more.hidden = false;
      }
      render();
    },
  };
}
