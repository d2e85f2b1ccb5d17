// @ts-check
/** The fields with which the reader picks a site and a day. */

import { daysAfter, FIRST_DAY, isDay } from "../../figures/days.js";
import { button, element } from "../../widgets/element.js";

/** @import { Choice } from "./choice.js" */

/**
 * @param {Choice} choice
 * @param {() => void} picked
 * @returns {{bar: HTMLElement, show: (sites: string[]) => void}} shows the choice, and the sites to choose from
 */
export function makePickers(choice, picked) {
  const options = element("datalist", { id: "sites-of-today" });
  const site = element("input", {
    type: "text",
    "data-site": "",
    list: options.id,
    maxlength: "128",
    placeholder: "example.com",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    enterkeyhint: "go",
  });
  const day = element("input", { type: "date", "data-day": "", min: FIRST_DAY, required: "" });
  const before = button({ class: "step", "data-day-before": "", "aria-label": "Day before" }, "‹", () => step(-1));
  const after = button({ class: "step", "data-day-after": "", "aria-label": "Day after" }, "›", () => step(1));
  const today = button({ class: "step", "data-today": "" }, "Today", () => take({ day: choice.today }));

  let shown = { site: "", day: "" };

  /** @param {{site?: string, day?: string}} what */
  function take(what) {
    choice.pick(what);
    picked();
  }

  /** @param {number} days */
  function step(days) {
    const to = daysAfter(choice.day, days);
    if (to >= FIRST_DAY && (days < 0 || to <= choice.today)) take({ day: to });
  }

  /** Every keystroke in a date is a change, so only what can be a day is taken. */
  function takeDay() {
    if (day.validity.valid && isDay(day.value)) take({ day: day.value });
  }

  function takeSite() {
    if (site.value.trim()) take({ site: site.value.trim() });
    else site.value = choice.site;
  }

  site.addEventListener("change", takeSite);
  site.addEventListener("focus", () => site.select());
  site.addEventListener("input", (event) => {
    // Taken from the list: some browsers say so, others send no more than a plain event.
    if (!(event instanceof InputEvent) || event.inputType === "insertReplacementText") takeSite();
  });
  day.addEventListener("change", takeDay);
  day.addEventListener("blur", () => (day.value = choice.day));

  return {
    bar: element(
      "div",
      { class: "pickers", "data-pickers": "" },
      element("label", { class: "field" }, "Site", site, options),
      element(
        "div",
        { class: "field", role: "group", "aria-label": "Day" },
        element("label", { class: "field" }, "Day", day),
        element("div", { class: "steps", "data-day-steps": "" }, before, after, today),
      ),
    ),
    show(sites) {
      if (document.activeElement !== site || shown.site !== choice.site) site.value = choice.site;
      if (document.activeElement !== day || shown.day !== choice.day) day.value = choice.day;
      shown = { site: choice.site, day: choice.day };
      day.max = choice.today;
      after.setAttribute("aria-disabled", String(choice.day >= choice.today));
      today.setAttribute("aria-pressed", String(choice.day === choice.today));
      const listed = [...options.children].map((option) => option.getAttribute("value"));
      if (listed.join("\n") !== sites.join("\n")) options.replaceChildren(...sites.map((name) => element("option", { value: name })));
    },
  };
}
