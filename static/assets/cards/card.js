/** A card is one subject: a chart, the table behind it, and the table as a file, all made of the same rows. */

import { makeExport } from "../widgets/csv.js";
import { button, element, setText, showEach } from "../widgets/element.js";
import { makeChartKeyboard } from "./chart_keyboard.js";
import { makeChart } from "./charts.js";
import { makeLegend } from "./legend.js";
import { makeSheet, tableLines } from "./table.js";

/** @import { Drawing } from "../figures/drawings.js" */
/** @import { Row } from "../figures/rows.js" */
/** @import { Tone } from "../widgets/form.js" */
/** @import { Column } from "./table.js" */
/** @import { Turns } from "./turns.js" */
/**
 * @template Payload what its panel shows
 * @typedef {object} Frame
 * @property {string} id
 * @property {string} title
 * @property {(payload: Payload) => string} [heading] the title, with the subject of these numbers
 * @property {string | ((payload: Payload) => string)} hint
 * @property {"third" | "side" | "half" | "wide" | "full"} width a `side` is a third beside a wide card, or below it
 */
/**
 * @template Payload
 * @typedef {object} Sheet
 * @property {Column[]} columns
 * @property {(payload: Payload) => Row[]} rows
 * @property {boolean} [footed] the last row sums up the others
 * @property {Drawing} [drawing] without one the card is only a table
 * @property {(payload: Payload) => Lead[]} [lead] sentences above the table
 * @property {string | ((payload: Payload) => string)} [bare] stands in place of no rows
 * @property {HTMLElement[]} [tools] further buttons
 */
/** @typedef {{words: string, tone: Tone}} Lead */
/** @template Payload @typedef {{node: HTMLElement, show: (payload: Payload) => void, tools?: HTMLElement[]}} Content */
/** @template Payload @typedef {Frame<Payload> & Sheet<Payload>} SheetCard */
/** @template Payload @typedef {Frame<Payload> & {content: () => Content<Payload>}} ContentCard a card without rows */
/** @template Payload @typedef {SheetCard<Payload> | ContentCard<Payload>} Card */
/** @template Payload @typedef {(payload: Payload) => void} Show */
/** @typedef {{section: HTMLElement, body: HTMLElement, tools: HTMLElement}} Parts */

/**
 * @template Payload @param {string} panel its id
 * @param {Card<Payload>} card @param {Turns} turns @returns {{section: HTMLElement, show: Show<Payload>}}
 */
export function makeCard(panel, card, turns) {
  const title = `${panel}-${card.id}-title`;
  const hint = element("p", { class: "hint" }, typeof card.hint === "string" ? card.hint : "");
  hint.toggleAttribute("data-live", typeof card.hint === "function");
  const heading = element("h2", { id: title }, card.title);
  const body = element("div", { class: "card-body" });
  const tools = element("div", { class: "tools" });
  const section = element(
    "section",
    { class: "card", "data-card": card.id, "data-width": card.width, "aria-labelledby": title },
    element("header", { class: "card-top" }, element("div", {}, heading, hint), tools),
    body,
  );
  const parts = { section, body, tools };
  const showInside = "content" in card ? fillWithContent(parts, card.content()) : fillWithSheet(parts, panel, card, turns);
  return {
    section,
    show(payload) {
      if (card.heading) setText(heading, card.heading(payload));
      if (typeof card.hint === "function") setText(hint, card.hint(payload));
      showInside(payload);
    },
  };
}

/** @template Payload @param {Parts} parts @param {Content<Payload>} content @returns {Show<Payload>} */
function fillWithContent({ section, body, tools }, content) {
  section.dataset.own = "";
  body.append(content.node);
  tools.append(...(content.tools ?? []));
  return content.show;
}

/**
 * @template Payload @param {Parts} parts @param {string} panel @param {SheetCard<Payload>} card @param {Turns} turns
 * @returns {Show<Payload>}
 */
function fillWithSheet({ section, body, tools }, panel, card, turns) {
  const { sheet, show: showTable } = makeSheet(card.title, card.columns);
  body.append(sheet);
  const showLead = card.lead && makeLead(body);
  const draw = card.drawing && makeDrawing(card.drawing, body, turns);
  /** @type {Row[]} */
  let rows = [];

  function render() {
    if (section.dataset.view === "table") showTable(rows);
    else draw?.(rows);
  }

  /** @param {boolean} isTable */
  function turn(isTable) {
    sheet.hidden = !isTable;
    section.dataset.view = isTable ? "table" : "chart";
    toggle.ariaPressed = String(isTable);
  }

  section.toggleAttribute("data-footed", card.footed ?? false);
  const toggle = button({ class: "tool", "data-toggle": "", "aria-label": `Table: ${card.title}` }, "Table", () => {
    turn(section.dataset.view === "chart");
    render();
  });
  turn(!draw);
  const save = makeExport(`${panel}-${card.id}`, card.title, () => tableLines(card.columns, rows));
  tools.append(...(card.tools ?? []), ...(draw ? [toggle] : []), save);

  return (payload) => {
    rows = card.rows(payload);
    section.toggleAttribute("data-bare", rows.length === 0);
    body.dataset.bare = typeof card.bare === "function" ? card.bare(payload) : (card.bare ?? "Nothing here yet");
    if (card.lead) showLead?.(card.lead(payload));
    render();
  };
}

/** @param {HTMLElement} body @returns {(leads: Lead[]) => void} */
function makeLead(body) {
  const list = element("ul", { class: "lead" });
  body.prepend(list);
  return (leads) =>
    showEach(list, leads, () => element("li"), (item, { words, tone }) => {
      item.setAttribute("data-tone", tone);
      setText(item, words);
    });
}

/** @param {Drawing} drawing @param {HTMLElement} body @param {Turns} turns @returns {Show<Row[]>} */
function makeDrawing(drawing, body, turns) {
  const { kind, choice } = drawing;
  const canvas = element("canvas", { role: "img", "aria-label": "No numbers yet" });
  const legend = drawing.legend ? makeLegend(kind === "doughnut") : undefined;
  /** @type {ReturnType<typeof makeChart> | null} */
  let chart = null;
  let drawn = "";
  const keyboard = choice && makeChartKeyboard(choice, (at) => chart?.point(at));
  const sized = element("div", { class: "canvas" }, canvas);
  body.prepend(element("div", { class: "picture", "data-kind": kind }, sized, legend?.list, keyboard?.node));
  if (drawing.entered) canvas.addEventListener("pointerenter", drawing.entered);

  /** @param {Row[]} rows */
  function draw(rows) {
    const figure = drawing.figure(rows);
    keyboard?.show(rows, figure);
    const content = JSON.stringify(figure);
    if (content === drawn) return;
    drawn = content;
    chart ??= makeChart(canvas, kind, keyboard?.choose);
    chart.show(figure);
    legend?.show(figure);
    canvas.setAttribute("aria-label", drawing.summary(rows));
  }

  return (rows) => turns.add(canvas, () => draw(rows));
}
