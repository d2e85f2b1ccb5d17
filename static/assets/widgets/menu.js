/** A button that opens a list of files to download. */

import { element, setText } from "./element.js";
import { makePopover } from "./popover.js";

/** @param {string} label @param {{name: string, words: string}[]} files */
export function makeMenu(label, files) {
  const title = element("p", { class: "hint" });
  const links = files.map(({ name, words }) =>
    element("a", { download: "" }, element("strong", {}, name), " ", element("span", { class: "hint" }, words)),
  );
  const list = element("ul", {}, ...links.map((link) => element("li", {}, link)));
  const { node, close } = makePopover(label, title, list);
  node.dataset.menu = "";
  list.addEventListener("click", close);

  return {
    node,
    /** @param {string} words @param {string[]} addresses of the files */
    show(words, addresses) {
      setText(title, words);
      links.forEach((link, at) => (link.href = addresses[at] ?? ""));
    },
  };
}
