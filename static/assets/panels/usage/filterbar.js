// @ts-check
/** The fields in which the reader sets the filters, and a chip for each that is set. */

import { FIRST_DAY, isDay } from "../../figures/days.js";
import { button, element, setText } from "../../widgets/element.js";
import { active, AGE_GROUPS, GENDERS, NO_FILTERS } from "./filters.js";

/** @import { Filters, Option } from "./filters.js" */

/**
 * What the contract calls a change of each.
 * @type {Record<keyof Filters, string>}
 */
const FEATURES = { startDate: "date_filter", endDate: "date_filter", ageGroup: "age_filter", gender: "gender_filter" };

/**
 * @param {(patch: Partial<Filters>, feature: string) => void} set with the name of the feature that was used, or none
 * @returns {{fields: HTMLElement[], chips: HTMLElement, show: (filters: Filters) => void}}
 */
export function makeFilterBar(set) {
  let shown = NO_FILTERS;

  /** @param {keyof Filters} key @param {string} value */
  function take(key, value) {
    if (shown[key] === value) return;
    // An end before the beginning would leave nothing: who picks a later beginning wants the end open.
    const past = key === "startDate" && shown.endDate && value > shown.endDate;
    set(past ? { startDate: value, endDate: "" } : { [key]: value }, FEATURES[key]);
  }

  const start = makeDay("startDate", () => shown, take);
  const end = makeDay("endDate", () => shown, take);
  const age = makeSelect("ageGroup", AGE_GROUPS, take);
  const gender = makeSelect("gender", GENDERS, take);
  const reset = button({ class: "tool", "data-reset": "" }, "Reset all", () => {
    set(NO_FILTERS, "");
    start.focus();
  });
  const list = element("ul", { "aria-label": "Active filters" });
  const chips = element("div", { class: "filter-chips", "data-chips": "" }, list, reset);

  list.addEventListener("click", ({ target }) => {
    const chip = target instanceof Element ? target.closest("button") : null;
    const one = active(shown).find(({ key }) => key === chip?.dataset.remove);
    if (!one) return;
    take(one.key, NO_FILTERS[one.key]);
    (list.querySelector("button") ?? start).focus();
  });

  return {
    fields: [
      element("label", { class: "field" }, "Start date", start),
      element("label", { class: "field" }, "End date", end),
      element("label", { class: "field" }, "Age", age),
      element("label", { class: "field" }, "Gender", gender),
    ],
    chips,
    show(filters) {
      // What is being typed is not overwritten.
      if (document.activeElement !== start || shown.startDate !== filters.startDate) start.value = filters.startDate;
      if (document.activeElement !== end || shown.endDate !== filters.endDate) end.value = filters.endDate;
      shown = filters;
      end.min = filters.startDate || FIRST_DAY;
      age.value = filters.ageGroup;
      gender.value = filters.gender;
      showChips(list, filters);
      chips.hidden = list.children.length === 0;
    },
  };
}

/**
 * Every keystroke in a date is a change, so only what can be a day is taken; an end before the beginning is not.
 * @param {"startDate" | "endDate"} key
 * @param {() => Filters} shown
 * @param {(key: keyof Filters, value: string) => void} take
 */
function makeDay(key, shown, take) {
  const input = element("input", { type: "date", "data-filter": key, min: FIRST_DAY });
  input.addEventListener("change", () => {
    if (input.validity.valid && (isDay(input.value) || input.value === "")) take(key, input.value);
  });
  input.addEventListener("blur", () => (input.value = shown()[key]));
  return input;
}

/**
 * @param {"ageGroup" | "gender"} key
 * @param {Option[]} options
 * @param {(key: keyof Filters, value: string) => void} take
 */
function makeSelect(key, options, take) {
  const made = options.map(({ id, label }) => element("option", { value: id }, label));
  const select = element("select", { "data-filter": key }, ...made);
  select.addEventListener("change", () => take(key, select.value));
  return select;
}

/**
 * @param {HTMLElement} list
 * @param {Filters} filters
 */
function showChips(list, filters) {
  const all = active(filters);
  while (list.children.length > all.length) list.lastElementChild?.remove();
  all.forEach(({ key, words }, at) => {
    const item = list.children[at] ?? list.appendChild(element("li", {}, element("button", { type: "button", class: "filter-chip" })));
    const [chip] = item.children;
    if (!(chip instanceof HTMLElement)) return;
    chip.dataset.remove = key;
    chip.setAttribute("aria-label", `Remove the filter: ${words}`);
    setText(chip, words);
  });
}
