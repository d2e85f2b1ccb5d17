// @ts-check
/** What a panel without data shows: how to get some. */

import { button, element } from "./element.js";

/** @typedef {{words: string, code: string}} Step */

const COPIED_MS = 2_000;

/**
 * @param {string} title
 * @param {Step[]} steps
 */
export function makeGuide(title, steps) {
  const items = steps.map(({ words, code }) => {
    const block = element("code", {}, code);
    const copy = button({ class: "tool", "aria-label": `Copy: ${words}` }, "Copy", () => copyCode(copy, block));
    return element("li", {}, element("p", {}, words), element("div", { class: "code" }, element("pre", {}, block), copy));
  });
  return element(
    "section",
    { class: "guide", "data-guide": "" },
    element("h2", {}, title),
    element("p", { class: "hint" }, "This page fills by itself as soon as the first one is stored. Two ways to try it:"),
    element("ol", {}, ...items),
  );
}

/**
 * Without the clipboard (a page not served over HTTPS has none) the text is selected, ready for the keyboard.
 * @param {HTMLButtonElement} pressed
 * @param {HTMLElement} block
 */
async function copyCode(pressed, block) {
  try {
    await navigator.clipboard.writeText(block.textContent ?? "");
    pressed.textContent = "Copied";
  } catch {
    window.getSelection()?.selectAllChildren(block);
    pressed.textContent = "Selected";
  }
  window.setTimeout(() => (pressed.textContent = "Copy"), COPIED_MS);
}
