/** The fields in which the reader sets the filters, and a chip for each filter that is set. */

import { FIRST_DAY } from "../../figures/days.js";
import { button, element, setText, showEach } from "../../widgets/element.js";
import { makeDayInput } from "../../widgets/field.js";
import { makeOptions } from "../../widgets/select.js";
import { active, AGE_GROUPS, GENDERS, NO_FILTERS } from "./filters.js";

/** @import { Option } from "../../widgets/select.js" */
/** @import { Filters } from "./filters.js" */

const LAST_DAY = "2099-12-31";

/** The feature that is used when a filter is set. @type {Record<keyof Filters, string>} */
const FEATURES = { startDate: "date_filter", endDate: "date_filter", ageGroup: "age_filter", gender: "gender_filter" };

/**
 * @param {(patch: Partial<Filters>, feature: string) => void} set with the feature that was used, or none
 * @param {...HTMLElement} buttons beside the fields
 * @returns {{bar: HTMLElement, show: (filters: Filters) => void}}
 */
export function makeFilterBar(set, ...buttons) {
  let shown = NO_FILTERS;

  /** @param {keyof Filters} key @param {string} value */
  function take(key, value) {
    if (shown[key] === value) return;
    // The end cannot be before the start: a later start opens the end.
    const isPast = key === "startDate" && shown.endDate && value > shown.endDate;
    set(isPast ? { startDate: value, endDate: "" } : { [key]: value }, FEATURES[key]);
  }

  const makeDay = (/** @type {"startDate" | "endDate"} */ key) =>
    makeDayInput({ "data-filter": key, min: FIRST_DAY, max: LAST_DAY }, () => shown[key], (day) => take(key, day));
  const [start, end] = [makeDay("startDate"), makeDay("endDate")];
  const age = makeSelect("ageGroup", AGE_GROUPS, take);
  const gender = makeSelect("gender", GENDERS, take);
  const chips = makeChips((key) => take(key, NO_FILTERS[key]), () => set(NO_FILTERS, ""), start.input);

  const fields = { "Start date": start.input, "End date": end.input, Age: age, Gender: gender };
  const labels = Object.entries(fields).map(([name, input]) => element("label", { class: "field" }, name, input));

  return {
    bar: element(
      "div",
      { class: "filters", role: "group", "aria-label": "Filters", "data-filters": "" },
      element("div", { class: "pickers" }, ...labels, element("div", { class: "acts" }, ...buttons)),
      chips.node,
    ),
    show(filters) {
      shown = filters;
      start.show(filters.startDate);
      end.show(filters.endDate);
      end.input.min = filters.startDate || FIRST_DAY;
      age.value = filters.ageGroup;
      gender.value = filters.gender;
      chips.show(filters);
    },
  };
}

/**
 * @param {"ageGroup" | "gender"} key @param {Option[]} options
 * @param {(key: keyof Filters, value: string) => void} take
 */
function makeSelect(key, options, take) {
  const select = element("select", { "data-filter": key }, ...makeOptions(options));
  select.addEventListener("change", () => take(key, select.value));
  return select;
}

/**
 * @param {(key: keyof Filters) => void} remove @param {() => void} reset
 * @param {HTMLElement} neighbour gets the focus when it was on the last chip
 */
function makeChips(remove, reset, neighbour) {
  const list = element("ul", { "aria-label": "Active filters" });
  const resetAll = button({ class: "tool", "data-reset": "" }, "Reset all", reset);
  const node = element("div", { class: "filter-chips", "data-chips": "" }, list, resetAll);

  function makeChip() {
    const chip = button({ class: "filter-chip" }, "", () => remove(/** @type {keyof Filters} */ (chip.dataset.remove)));
    return element("li", {}, chip);
  }

  return {
    node,
    /** @param {Filters} filters */
    show(filters) {
      const hadFocus = node.contains(document.activeElement);
      showEach(list, active(filters), makeChip, (item, { key, words }) => {
        const chip = /** @type {HTMLElement} */ (item.firstElementChild);
        chip.dataset.remove = key;
        chip.ariaLabel = `Remove the filter: ${words}`;
        setText(chip, words);
      });
      node.hidden = list.children.length === 0;
      if (hadFocus && (node.hidden || !node.contains(document.activeElement))) (list.querySelector("button") ?? neighbour).focus();
    },
  };
}
