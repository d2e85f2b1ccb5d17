/** Making and changing elements. Strings become text, never markup. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag @param {Tag} tag @param {Record<string, string>} [attributes]
 * @param {...(Node | string | undefined)} children @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

/** @param {Record<string, string>} attributes @param {string} label @param {(event: MouseEvent) => void} act */
export function button(attributes, label, act) {
  const node = element("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", act);
  return node;
}

/** @param {string} hook a `data-` attribute that one element of the page has, for example `data-tabs` */
export function hooked(hook) {
  const node = document.querySelector(`[${hook}]`);
  if (!(node instanceof HTMLElement)) throw new Error(`index.html: no element has ${hook}`);
  return node;
}

/**
 * Writes only what differs, so that selections and screen readers are not disturbed.
 * @param {Element} node @param {string} words
 */
export function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

/**
 * One child per item. Children that exist are changed in place, so that scrolling, focus and selections survive.
 * @template Item @param {Element} parent @param {Item[]} items
 * @param {(at: number) => Element} make a new child, without its item
 * @param {(child: Element, item: Item, at: number) => void} show
 */
export function showEach(parent, items, make, show) {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  items.forEach((item, at) => show(parent.children[at] ?? parent.appendChild(make(at)), item, at));
}
