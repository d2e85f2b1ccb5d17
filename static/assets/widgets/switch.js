/** A row of radio buttons, one of which is picked; the address keeps it. */

import { makeAddress } from "./address.js";
import { element } from "./element.js";

/** @import { Option } from "./select.js" */

/**
 * @template {Option} O @param {string} panel the id of the panel in whose address the choice stands
 * @param {string} label @param {[O, ...O[]]} options @param {() => void} changed
 * @param {O} [first] what is picked at first
 * @returns {{bar: HTMLElement, chosen: () => O, read: () => void}} `read` follows the address
 */
export function makeSwitch(panel, label, options, changed, first = options[0]) {
  const address = makeAddress(panel);
  let chosen = first;

  const choices = options.map((option) => {
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
    for (const choice of choices) choice.input.checked = choice.option === option;
  }

  take(chosen);
  const segments = choices.map(({ option, input }) => element("label", { class: "step" }, input, option.label));
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
