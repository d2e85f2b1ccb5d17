/** Input fields that show what is picked, but never overwrite what is being typed. */

import { element } from "./element.js";

/** @param {Record<string, string>} attributes @returns {{input: HTMLInputElement, show: (value: string) => void}} */
export function makeInput(attributes) {
  const input = element("input", attributes);
  let shown = "";
  return {
    input,
    show(value) {
      if (document.activeElement !== input || shown !== value) input.value = value;
      shown = value;
    },
  };
}

/**
 * A field for a date. Every keystroke is a change, so only valid dates are picked; when the reader leaves the field, it
 * shows what is picked.
 * @param {Record<string, string>} attributes @param {() => string} picked @param {(day: string) => void} pick
 */
export function makeDayInput(attributes, picked, pick) {
  const field = makeInput({ type: "date", ...attributes });
  field.input.addEventListener("change", () => field.input.validity.valid && pick(field.input.value));
  field.input.addEventListener("blur", () => (field.input.value = picked()));
  return field;
}
