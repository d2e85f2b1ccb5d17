// @ts-check
/** A button that opens a list of links, and closes it when the reader is done with it. */

import { element, setText } from "./element.js";

/** @typedef {{name: string, words: string, address: string}} Entry */

/**
 * @param {string} label
 * @returns {{node: HTMLElement, show: (title: string, entries: Entry[]) => void}} the entries are files to download
 */
export function makeMenu(label) {
  const button = element("summary", { class: "action" }, label);
  const title = element("p", { class: "hint" });
  const list = element("ul");
  const node = element("details", { class: "menu", "data-menu": "" }, button, element("div", { class: "menu-list" }, title, list));

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
  list.addEventListener("click", close);

  return {
    node,
    show(words, entries) {
      setText(title, words);
      entries.forEach((entry, at) => showEntry(list.children[at] ?? list.appendChild(emptyEntry()), entry));
    },
  };
}

const emptyEntry = () =>
  element("li", {}, element("a", { download: "" }, element("strong"), " ", element("span", { class: "hint" })));

/**
 * @param {Element} item
 * @param {Entry} entry
 */
function showEntry(item, { name, words, address }) {
  const [link] = item.children;
  if (link?.getAttribute("href") !== address) link?.setAttribute("href", address);
  const [strong, hint] = link?.children ?? [];
  if (strong) setText(strong, name);
  if (hint) setText(hint, words);
}
