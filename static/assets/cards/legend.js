// @ts-check
/** What the colours of a chart stand for. */

import { count, percent, percentage } from "../figures/format.js";
import { element, setText } from "../widgets/element.js";

/** @import { Figure } from "../figures/drawings.js" */
/** @typedef {{name: string, colour: string, value: string, share: string}} Entry */

/**
 * @param {Figure} figure
 * @param {boolean} perValue
 * @returns {Entry[]} one per value of the only series, else one per series
 */
function entries(figure, perValue) {
  const [first] = figure.series;
  if (!first) return [];
  if (!perValue)
    return figure.series.map(({ name, colours }) => ({ name, colour: colours[0] ?? "", value: "", share: "" }));
  const total = first.values.reduce((/** @type {number} */ sum, value) => sum + (value ?? 0), 0);
  return figure.labels.map((name, index) => {
    const value = first.values[index] ?? null;
    return { name, colour: first.colours[index] ?? "", value: count(value), share: percent(percentage(value, total)) };
  });
}

/**
 * @param {boolean} perValue whether the colours stand for the values of the only series, and not for the series
 * @returns {{list: HTMLUListElement, show: (figure: Figure) => void}}
 */
export function makeLegend(perValue) {
  const list = element("ul", { class: "legend" });
  return {
    list,
    show(figure) {
      const all = entries(figure, perValue);
      while (list.children.length > all.length) list.lastElementChild?.remove();
      all.forEach((entry, index) => {
        const item = list.children[index] ?? list.appendChild(emptyEntry());
        const [swatch, name, value, share] = item.children;
        if (!(swatch instanceof HTMLElement) || !name || !value || !share) return;
        swatch.style.setProperty("--swatch", `var(${entry.colour})`);
        setText(name, entry.name);
        setText(value, entry.value);
        setText(share, entry.share);
      });
    },
  };
}

function emptyEntry() {
  const parts = ["swatch", "legend-name", "legend-value", "legend-share"];
  return element("li", {}, ...parts.map((part) => element("span", { class: part })));
}
