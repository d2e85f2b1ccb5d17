// @ts-check
/** Sentences with `code` in them, in paragraphs. */

import { element } from "./widgets/element.js";

/**
 * @param {string} sentences
 * @returns {(Node | string)[]} text, and a code element for what stands between backticks
 */
export function words(sentences) {
  return sentences.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));
}

/**
 * @param {string} sentences
 * @returns {HTMLElement[]}
 */
export function paragraphs(sentences) {
  return sentences ? sentences.split("\n\n").map((part) => element("p", {}, ...words(part))) : [];
}
