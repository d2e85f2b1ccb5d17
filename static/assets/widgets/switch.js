// @ts-check
/** One of a few, picked by the reader, as radio buttons in a row: the arrow keys move between them. */

import { Address } from "./address.js";
import { element } from "./element.js";

/** @typedef {{id: string, label: string}} Option */

/**
 * @template {Option} O
 * @param {string} panel the id of the panel whose address says which one it is
 * @param {string} label
 * @param {[O, ...O[]]} options
 * @param {() => void} changed
 * @param {O} [first] the one that is picked to begin with
 * @returns {{bar: HTMLElement, chosen: () => O, read: () => void}} `read` follows the address
 */
export function makeSwitch(panel, label, options, changed, first = options[0]) {
  const address = new Address(panel);
  let chosen = first;

  const inputs = options.map((option) => {
    const input = element("input", { type: "radio", class: "hidden-text", name: `${panel}-${label}`, value: option.id });
    input.addEventListener("change", () => {
      take(option);
      address.push(option.id);
      changed();
    });
    return { option, input };
  });

  /** @param {O} option */
  function take(option) {
    chosen = option;
    for (const { option: own, input } of inputs) input.checked = own === option;
  }

  take(chosen);
  const segments = inputs.map(({ option, input }) => element("label", { class: "step" }, input, option.label));
  return {
    bar: element("div", { class: "steps", role: "radiogroup", "aria-label": label, "data-switch": label.toLowerCase() }, ...segments),
    chosen: () => chosen,
    read() {
      const parts = address.read();
      if (!parts) return;
      take(options.find(({ id }) => id === parts[0]) ?? chosen);
      address.replace(chosen.id);
    },
  };
}
