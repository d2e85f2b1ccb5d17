// @ts-check
/** Leafing through a list, newest first: its first page comes with the topic, those before it are asked for. */

import { button } from "./element.js";

/** @param {() => void} turned */
export function makePager(turned) {
  /** Where each page after the first begins, up to the one on screen. @type {string[]} */
  let befores = [];
  let next = "";
  const newer = button({ class: "tool", "data-newer": "" }, "‹ Newer", () => turn(befores.slice(0, -1)));
  const older = button({ class: "tool", "data-older": "" }, "Older ›", () => turn(next ? [...befores, next] : befores));

  /** @param {string[]} to */
  function turn(to) {
    if (to.length === befores.length) return;
    befores = to;
    next = "";
    older.closest("section")?.querySelector(".sheet")?.scrollTo(0, 0);
    turned();
  }

  return {
    tools: [newer, older],
    /** The id before which the page on screen begins; empty for the first one. */
    before: () => befores.at(-1) ?? "",
    page: () => befores.length + 1,
    /** @param {string} last the id before which the next page begins; empty where there is none */
    show(last) {
      next = last;
      newer.setAttribute("aria-disabled", String(!befores.length));
      older.setAttribute("aria-disabled", String(!next));
    },
  };
}
