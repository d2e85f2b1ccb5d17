// @ts-check
/** What a panel without data shows: how to get some. */

import { button, element, setText } from "./element.js";

/** @typedef {{words: string, code: string}} Step */

const COPIED_MS = 2_000;
const WAYS = ["No", "One", "Two", "Three"];

/**
 * @param {string} title
 * @param {Step[]} steps
 */
export function makeGuide(title, steps) {
  const items = steps.map(({ words, code }) => {
    const made = makeCode(words);
    made.show(code);
    return element("li", {}, element("p", {}, words), made.box);
  });
  return element(
    "section",
    { class: "guide", "data-guide": "" },
    element("h2", {}, title),
    element("p", { class: "hint" }, `This page fills by itself as soon as the first one is stored. ${WAYS[steps.length] ?? "Some"} ways to try it:`),
    element("ol", {}, ...items),
  );
}

/**
 * Code with a button that copies it.
 * @param {string} words what it is
 * @returns {{box: HTMLElement, show: (code: string) => void}}
 */
export function makeCode(words) {
  const block = element("code");
  const copy = button({ class: "tool", "data-copy": "", "aria-label": `Copy: ${words}` }, "Copy", () => copyCode(copy, block));
  return { box: element("div", { class: "code" }, element("pre", {}, block), copy), show: (code) => setText(block, code) };
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
