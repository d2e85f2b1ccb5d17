/** What the colours of a chart stand for. */

import { count, percent, percentage } from "../figures/format.js";
import { element, setText, showEach } from "../widgets/element.js";

/** @import { Figure } from "../figures/drawings.js" */
/** @typedef {{colour: string, words: string[]}} Entry `words`: its name, and perhaps its value and share */

/** @param {boolean} perValue whether each value of the only series has a colour, or else each series */
export function makeLegend(perValue) {
  const list = element("ul", { class: "legend" });
  const show = (/** @type {Figure} */ figure) => showEach(list, entries(figure, perValue), emptyEntry, showEntry);
  return { list, show };
}

/** @param {Figure} figure @param {boolean} perValue @returns {Entry[]} */
function entries({ series, labels }, perValue) {
  const [first] = series;
  if (!first) return [];
  if (!perValue) return series.map(({ name, colours }) => ({ colour: colours[0] ?? "", words: [name] }));
  const total = first.values.reduce((/** @type {number} */ sum, value) => sum + (value ?? 0), 0);
  return labels.map((name, index) => {
    const value = first.values[index] ?? null;
    return { colour: first.colours[index] ?? "", words: [name, count(value), percent(percentage(value, total))] };
  });
}

const emptyEntry = () =>
  element("li", {}, ...["swatch", "legend-name", "legend-value", "legend-share"].map((part) => element("span", { class: part })));

/** @param {Element} item @param {Entry} entry */
function showEntry(item, { colour, words }) {
  const [swatch, ...parts] = /** @type {HTMLElement[]} */ ([...item.children]);
  swatch?.style.setProperty("--swatch", `var(${colour})`);
  parts.forEach((part, at) => setText(part, words[at] ?? ""));
}
