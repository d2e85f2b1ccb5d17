/** A button that opens a list of files to download. */

import { element, setText, showEach } from "./element.js";
import { makePopover } from "./popover.js";

/** @typedef {{name: string, words: string, address: string}} Entry */

/** @param {string} label @returns {{node: HTMLElement, show: (title: string, entries: Entry[]) => void}} */
export function makeMenu(label) {
  const title = element("p", { class: "hint" });
  const list = element("ul");
  const { node, close } = makePopover(label, title, list);
  node.dataset.menu = "";
  list.addEventListener("click", close);

  return {
    node,
    show(words, entries) {
      setText(title, words);
      showEach(list, entries, emptyEntry, showEntry);
    },
  };
}

const emptyEntry = () =>
  element("li", {}, element("a", { download: "" }, element("strong"), " ", element("span", { class: "hint" })));

/** @param {Element} item @param {Entry} entry */
function showEntry(item, { name, words, address }) {
  const [link] = item.children;
  if (link?.getAttribute("href") !== address) link?.setAttribute("href", address);
  const [strong, hint] = link?.children ?? [];
  if (strong) setText(strong, name);
  if (hint) setText(hint, words);
}
