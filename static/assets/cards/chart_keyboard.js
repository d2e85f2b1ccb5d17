/**
 * A chart's values as invisible buttons: what the pointer picks in the chart, the keyboard and screen readers pick here.
 * Tab enters the group, the arrow keys move within it.
 */

import { count } from "../figures/format.js";
import { button, element, setText, showEach } from "../widgets/element.js";

/** @import { Choice, Figure } from "../figures/drawings.js" */
/** @import { Row } from "../figures/rows.js" */

/**
 * @param {Choice} choice @param {(index: number | null) => void} point shows in the chart which value has the focus
 * @returns {{node: HTMLElement, choose: (index: number) => void, show: (rows: Row[], figure: Figure) => void}}
 */
export function makeChartKeyboard({ label, names: namesOf, pick }, point) {
  const node = element("div", { class: "hidden-text", role: "group", "aria-label": label, "data-values": "" });
  /** @type {string[]} */
  let names = [];

  const buttons = () => /** @type {HTMLElement[]} */ ([...node.children]);
  const focused = () => buttons().findIndex((value) => value === document.activeElement);

  /** @param {number} index */
  function choose(index) {
    const name = names[index];
    if (name !== undefined) pick.choose(name);
  }

  /** @param {number} index of the button that Tab reaches */
  function setTabStop(index) {
    buttons().forEach((value, at) => (value.tabIndex = at === index ? 0 : -1));
  }

  node.addEventListener("keydown", (event) => {
    const at = focused();
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons().at(to % names.length)?.focus();
  });
  node.addEventListener("focusin", () => {
    setTabStop(focused());
    point(focused());
  });
  node.addEventListener("focusout", () => point(null));

  return {
    node,
    choose,
    show(rows, figure) {
      names = namesOf(rows);
      const make = (/** @type {number} */ at) => button({ tabindex: "-1" }, "", () => choose(at));
      showEach(node, names, make, (value, name, at) => {
        setText(value, `${name}, ${count(figure.series[0]?.values[at] ?? null)}`);
        value.setAttribute("aria-pressed", String(pick.chosen() === name));
      });
      if (focused() < 0) setTabStop(Math.max(0, names.indexOf(pick.chosen())));
    },
  };
}
