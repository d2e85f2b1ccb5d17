/** The fields in which the reader picks a site and a day. */

import { daysAfter, FIRST_DAY } from "../../figures/days.js";
import { button, element } from "../../widgets/element.js";
import { makeDayInput, makeInput } from "../../widgets/field.js";

/** @import { Choice } from "./choice.js" */

/**
 * @param {Choice} choice @param {(picked: {site?: string, day?: string}) => void} pick
 * @returns {{bar: HTMLElement, show: (sites: string[]) => void}} `show` takes the sites to choose from
 */
export function makePickers(choice, pick) {
  const site = makeSite(choice, (name) => pick({ site: name }));
  const day = makeDayInput({ "data-day": "", min: FIRST_DAY, required: "" }, () => choice.day, (date) => pick({ day: date }));
  const before = button({ class: "step", "data-day-before": "", "aria-label": "Day before" }, "‹", () => step(-1));
  const after = button({ class: "step", "aria-label": "Day after" }, "›", () => step(1));
  const today = button({ class: "step" }, "Today", () => pick({ day: choice.today }));

  /** @param {number} days */
  function step(days) {
    const date = daysAfter(choice.day, days);
    if (date >= FIRST_DAY && (days < 0 || date <= choice.today)) pick({ day: date });
  }

  return {
    bar: element(
      "div",
      { class: "pickers" },
      site.field,
      element(
        "div",
        { class: "field", role: "group", "aria-label": "Day" },
        element("label", { class: "field" }, "Day", day.input),
        element("div", { class: "steps", "data-day-steps": "" }, before, after, today),
      ),
    ),
    show(sites) {
      site.show(sites);
      day.show(choice.day);
      day.input.max = choice.today;
      after.ariaDisabled = String(choice.day >= choice.today);
      today.ariaPressed = String(choice.day === choice.today);
    },
  };
}

/** @param {Choice} choice @param {(site: string) => void} pick */
function makeSite(choice, pick) {
  const options = element("datalist", { id: "sites-of-today" });
  const { input, show } = makeInput({
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

  function take() {
    if (input.value.trim()) pick(input.value.trim());
    else input.value = choice.site;
  }

  input.addEventListener("change", take);
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", (event) => {
    // A name taken from the list: some browsers name this kind of input, others send a plain event.
    if (!(event instanceof InputEvent) || event.inputType === "insertReplacementText") take();
  });
  return {
    field: element("label", { class: "field" }, "Site", input, options),
    /** @param {string[]} sites */
    show(sites) {
      show(choice.site);
      const listed = [...options.children].map((option) => option.getAttribute("value"));
      if (listed.join("\n") !== sites.join("\n")) options.replaceChildren(...sites.map((name) => element("option", { value: name })));
    },
  };
}
