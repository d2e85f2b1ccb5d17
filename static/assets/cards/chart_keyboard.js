// @ts-check
/**
 * The values of a chart as buttons that are heard and not seen: what the pointer picks in the picture, the keyboard picks
 * here. Tab comes to one of them, the arrow keys lead from it to the others.
 */

import { count } from "../figures/format.js";
import { button, element, setText } from "../widgets/element.js";

/** @import { Figure } from "../figures/drawings.js" */
/** @import { Pick } from "../figures/rows.js" */

/**
 * @param {string} label
 * @param {Pick} pick
 * @param {(index: number | null) => void} point shows in the picture which one has the focus
 * @returns {{node: HTMLElement, choose: (index: number) => void, show: (names: string[], figure: Figure) => void}}
 */
export function makeHandles(label, pick, point) {
  const node = element("div", { class: "hidden-text", role: "group", "aria-label": label, "data-handles": "" });
  /** @type {string[]} */
  let names = [];

  const all = () => /** @type {HTMLElement[]} */ ([...node.children]);
  const focused = () => all().findIndex((handle) => handle === document.activeElement);

  /** @param {number} index */
  function choose(index) {
    const name = names[index];
    if (name !== undefined) pick.choose(name);
  }

  /** @param {number} index the one that Tab comes to */
  function lead(index) {
    all().forEach((handle, at) => (handle.tabIndex = at === index ? 0 : -1));
  }

  node.addEventListener("keydown", (event) => {
    const at = focused();
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all().at(to % names.length)?.focus();
  });
  node.addEventListener("focusin", () => {
    lead(focused());
    point(focused());
  });
  node.addEventListener("focusout", () => point(null));

  return {
    node,
    choose,
    show(given, figure) {
      names = given;
      while (node.children.length > names.length) node.lastElementChild?.remove();
      names.forEach((name, at) => {
        const handle = node.children[at] ?? node.appendChild(button({ tabindex: "-1" }, "", () => choose(at)));
        setText(handle, `${name}, ${count(figure.series[0]?.values[at] ?? null)}`);
        handle.setAttribute("aria-pressed", String(pick.chosen() === name));
      });
      if (focused() < 0) lead(Math.max(0, names.indexOf(pick.chosen())));
    },
  };
}
