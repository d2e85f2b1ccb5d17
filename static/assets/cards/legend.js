/** What the colours of a chart stand for. */

import { count, percent, percentage } from "../figures/format.js";
import { element, setText, showEach } from "../widgets/element.js";

/** @import { Figure } from "../figures/drawings.js" */
/** @typedef {{name: string, colour: string, value: string, share: string}} Entry */

/**
 * @param {boolean} perValue whether each value of the only series has a colour, or else each series
 * @returns {{list: HTMLUListElement, show: (figure: Figure) => void}}
 */
export function makeLegend(perValue) {
  const list = element("ul", { class: "legend" });
  return { list, show: (figure) => showEach(list, entries(figure, perValue), emptyEntry, showEntry) };
}

/** @param {Figure} figure @param {boolean} perValue @returns {Entry[]} */
function entries({ series, labels }, perValue) {
  const [first] = series;
  if (!first) return [];
  if (!perValue) return series.map(({ name, colours }) => ({ name, colour: colours[0] ?? "", value: "", share: "" }));
  const total = first.values.reduce((/** @type {number} */ sum, value) => sum + (value ?? 0), 0);
  return labels.map((name, index) => {
    const value = first.values[index] ?? null;
    return { name, colour: first.colours[index] ?? "", value: count(value), share: percent(percentage(value, total)) };
  });
}

const emptyEntry = () =>
  element("li", {}, ...["swatch", "legend-name", "legend-value", "legend-share"].map((part) => element("span", { class: part })));

/** @param {Element} item @param {Entry} entry */
function showEntry(item, { colour, ...texts }) {
  const [swatch, ...parts] = /** @type {HTMLElement[]} */ ([...item.children]);
  swatch?.style.setProperty("--swatch", `var(${colour})`);
  [texts.name, texts.value, texts.share].forEach((words, at) => setText(/** @type {HTMLElement} */ (parts[at]), words));
}
