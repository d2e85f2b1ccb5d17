/** A button that opens a box below it. A click elsewhere, Escape, or moving the focus out of it closes the box. */

import { element } from "./element.js";

/** @param {string} label @param {...HTMLElement} content @returns {{node: HTMLElement, close: () => void}} */
export function makePopover(label, ...content) {
  const button = element("summary", { class: "action" }, label);
  const node = element("details", { class: "menu" }, button, element("div", { class: "menu-list" }, ...content));

  function close() {
    node.open = false;
  }

  document.addEventListener("click", ({ target }) => {
    if (!(target instanceof Node && node.contains(target))) close();
  });
  node.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !node.contains(relatedTarget)) close();
  });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    close();
    button.focus();
  });
  return { node, close };
}
