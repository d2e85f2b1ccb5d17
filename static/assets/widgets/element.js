// @ts-check
/** Making elements. Strings become text nodes, never markup. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes] set with setAttribute
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * A button that does something on this page.
 * @param {Record<string, string>} attributes
 * @param {string} label
 * @param {(event: MouseEvent) => void} act
 */
export function button(attributes, label, act) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", act);
  return made;
}

/**
 * The one element of the page that carries this `data-` attribute.
 * @param {string} hook for example `data-tabs`
 * @returns {HTMLElement}
 */
export function hooked(hook) {
  const found = document.querySelector(`[${hook}]`);
  if (!(found instanceof HTMLElement)) throw new Error(`index.html: no element has ${hook}`);
  return found;
}

/**
 * Writes only what differs, so that a selection or a screen reader is not disturbed.
 * @param {Element} where
 * @param {string} words
 */
export function setText(where, words) {
  if (where.textContent !== words) where.textContent = words;
}
