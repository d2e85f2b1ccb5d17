/** Turns the pages of a list, newest first. The topic brings its first page; the others are requested. */

import { button } from "./element.js";

/** @param {() => void} turned */
export function makePager(turned) {
  /** Where the pages after the first begin, up to the one on screen. @type {string[]} */
  let befores = [];
  let next = "";
  const newer = button({ class: "tool", "data-newer": "" }, "‹ Newer", () => turn(befores.slice(0, -1)));
  const older = button({ class: "tool", "data-older": "" }, "Older ›", () => turn(next ? [...befores, next] : befores));

  /** @param {string[]} pages */
  function turn(pages) {
    if (pages.length === befores.length) return;
    befores = pages;
    next = "";
    older.closest("section")?.querySelector(".sheet")?.scrollTo(0, 0);
    turned();
  }

  return {
    tools: [newer, older],
    /** The page on screen begins before this id; empty for the first page. */
    before: () => befores.at(-1) ?? "",
    page: () => befores.length + 1,
    /** @param {string} last the next page begins before this id; empty if there is none */
    show(last) {
      next = last;
      newer.setAttribute("aria-disabled", String(!befores.length));
      older.setAttribute("aria-disabled", String(!next));
    },
  };
}
