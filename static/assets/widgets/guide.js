/** What a panel without data shows: how to get some. And code to copy. */

import { button, element, setText } from "./element.js";

/** @typedef {{words: string, code: string}} Step */
/** @typedef {{title: string, steps: Step[]}} Guide */

const COPIED_MS = 2_000;

/** @param {Guide} guide */
export function makeGuide({ title, steps }) {
  const items = steps.map(({ words, code }) => {
    const block = makeCode(words);
    block.show(code);
    return element("li", {}, element("p", {}, words), block.node);
  });
  return element(
    "section",
    { class: "guide", "data-guide": "" },
    element("h2", {}, title),
    element("p", { class: "hint" }, "This page fills by itself as soon as the first event is stored. To try it:"),
    element("ol", {}, ...items),
  );
}

/** Code with a button that copies it. @param {string} words what it is */
export function makeCode(words) {
  const block = element("code");
  const copy = button({ class: "tool", "data-copy": "", "aria-label": `Copy: ${words}` }, "Copy", () => copyCode(copy, block));
  const node = element("div", { class: "code" }, element("pre", {}, block), copy);
  return { node, show: (/** @type {string} */ code) => setText(block, code) };
}

/**
 * Pages not served over HTTPS have no clipboard: then the code is selected, ready for the keyboard.
 * @param {HTMLButtonElement} copy @param {HTMLElement} block
 */
async function copyCode(copy, block) {
  try {
    await navigator.clipboard.writeText(block.textContent ?? "");
    copy.textContent = "Copied";
  } catch {
    window.getSelection()?.selectAllChildren(block);
    copy.textContent = "Selected";
  }
  window.setTimeout(() => (copy.textContent = "Copy"), COPIED_MS);
}

/** It needs the program and no folder of it. @param {string} stream @returns {Step} */
export const synthetic = (stream) => ({
  words: "Synthetic ones, five a second, from any folder:",
  code: `python -m statsd generate --url ${location.origin} --stream ${stream}`,
});

/**
 * @param {"POST" | "PUT"} method @param {string} path
 * @param {object} body a single quote in it ends the shell's quoting
 * @param {...string} headers
 */
export const curl = (method, path, body, ...headers) =>
  [
    `curl -X ${method} ${location.origin}${path}`,
    ...[...headers, "Content-Type: application/json"].map((header) => `-H '${header}'`),
    `-d '${JSON.stringify(body)}'`,
  ].join(" \\\n  ");
