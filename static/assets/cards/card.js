// @ts-check
/** One subject on the page: a chart, the table behind it, and the table as a file. All three come from the same rows. */

import { makeExport } from "../widgets/csv.js";
import { button, element, setText } from "../widgets/element.js";
import { makeHandles } from "./chart_keyboard.js";
import { makeChart } from "./charts.js";
import { makeLegend } from "./legend.js";
import { makeTable, tableLines } from "./table.js";

/** @import { Drawing } from "../figures/drawings.js" */
/** @import { Row } from "../figures/rows.js" */
/** @import { Json } from "../wire/read.js" */
/** @import { Column } from "./table.js" */
/**
 * @typedef {object} Frame
 * @property {string} id
 * @property {string} title
 * @property {(payload: Json) => string} [heading] the title, with what the numbers are about
 * @property {string | ((payload: Json) => string)} hint
 * @property {"third" | "side" | "half" | "wide" | "full"} width a `side` is a third beside a wide one, or below it
 */
/**
 * @typedef {object} Sheet
 * @property {Column[]} columns
 * @property {(payload: Json) => Row[]} rows
 * @property {boolean} [footed] the last row sums up the others
 * @property {Drawing} [drawing] without one the card is its table
 * @property {(payload: Json) => Lead[]} [lead] what the rows come to, above them
 * @property {string | ((payload: Json) => string)} [bare] what stands there without rows
 * @property {HTMLElement[]} [tools] what can be done with it beside turning and saving it
 */
/** @typedef {{words: string, tone: "good" | "warn" | "bad" | "none"}} Lead */
/** @typedef {{node: HTMLElement, show: (payload: Json) => void, tools?: HTMLElement[]}} Content */
/** @typedef {Frame & Sheet} SheetCard */
/** @typedef {Frame & {content: () => Content}} ContentCard no rows, but something of its own */
/** @typedef {SheetCard | ContentCard} Card */
/** @typedef {{show: (payload: Json) => void, discard: () => void}} Shown `discard` takes its charts away, for good */

/**
 * @param {string} panel the panel's id, for the file's name
 * @param {Card} card
 * @returns {Shown & {section: HTMLElement}}
 */
export function makeCard(panel, card) {
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
  const inside = "content" in card ? fill(section, body, tools, card.content()) : lay(panel, card, section, body, tools);
  return {
    section,
    discard: inside.discard,
    show(payload) {
      if (card.heading) setText(heading, card.heading(payload));
      if (typeof card.hint === "function") setText(hint, card.hint(payload));
      inside.show(payload);
    },
  };
}

/**
 * @param {HTMLElement} section
 * @param {HTMLElement} body
 * @param {HTMLElement} tools
 * @param {Content} content
 * @returns {Shown}
 */
function fill(section, body, tools, content) {
  section.dataset.own = "";
  body.append(content.node);
  tools.append(...(content.tools ?? []));
  return { show: content.show, discard() {} };
}

/**
 * Chart and table into the body, their buttons into the tools.
 * @param {string} panel
 * @param {SheetCard} card
 * @param {HTMLElement} section
 * @param {HTMLElement} body
 * @param {HTMLElement} tools
 * @returns {Shown}
 */
function lay(panel, card, section, body, tools) {
  const { table, show: showTable } = makeTable(card.title, card.columns);
  const sheet = element("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": `${card.title}, table` }, table);
  body.append(sheet);
  const showLead = card.lead && makeLead(body);
  /** @type {Row[]} */
  let rows = [];
  const drawing = card.drawing && makeDrawing(card.drawing, body);

  function render() {
    if (section.dataset.view === "table") showTable(rows);
    else drawing?.show(rows);
  }

  /** @param {"chart" | "table"} view */
  function turn(view) {
    section.dataset.view = view;
    sheet.hidden = view !== "table";
  }

  section.toggleAttribute("data-footed", card.footed ?? false);
  tools.append(...(card.tools ?? []));
  turn(drawing ? "chart" : "table");
  if (drawing) {
    const toggle = button({ class: "tool", "data-toggle": "", "aria-label": `Table: ${card.title}` }, "Table", () => {
      turn(section.dataset.view === "table" ? "chart" : "table");
      toggle.setAttribute("aria-pressed", String(section.dataset.view === "table"));
      render();
    });
    toggle.setAttribute("aria-pressed", "false");
    tools.append(toggle);
  }
  tools.append(makeExport(`${panel}-${card.id}`, card.title, () => tableLines(card.columns, rows)));

  return {
    show(payload) {
      rows = card.rows(payload);
      section.toggleAttribute("data-bare", rows.length === 0);
      body.dataset.bare = typeof card.bare === "function" ? card.bare(payload) : (card.bare ?? "Nothing here yet");
      if (card.lead) showLead?.(card.lead(payload));
      render();
    },
    discard: () => drawing?.discard(),
  };
}

/**
 * @param {HTMLElement} body
 * @returns {(leads: Lead[]) => void}
 */
function makeLead(body) {
  const list = element("ul", { class: "lead", "data-lead": "" });
  body.prepend(list);
  return (leads) => {
    while (list.children.length > leads.length) list.lastElementChild?.remove();
    leads.forEach(({ words, tone }, at) => {
      const item = list.children[at] ?? list.appendChild(element("li"));
      item.setAttribute("data-tone", tone);
      setText(item, words);
    });
  };
}

/**
 * @param {Drawing} drawing
 * @param {HTMLElement} body
 * @returns {{show: (rows: Row[]) => void, discard: () => void}}
 */
function makeDrawing(drawing, body) {
  const canvas = element("canvas", { role: "img", "aria-label": "No numbers yet" });
  const legend = drawing.legend ? makeLegend(drawing.kind === "doughnut") : null;
  const picture = element("div", { class: "picture", "data-kind": drawing.kind }, element("div", { class: "canvas" }, canvas));
  if (legend) picture.append(legend.list);
  body.prepend(picture);
  /** @type {ReturnType<typeof makeChart> | null} */
  let chart = null;
  let drawn = "";
  const { choice } = drawing;
  const handles = choice && makeHandles(choice.label, choice.pick, (at) => chart?.point(at));
  if (handles) picture.append(handles.node);
  if (drawing.entered) canvas.addEventListener("pointerenter", drawing.entered);
  return {
    show(rows) {
      const figure = drawing.figure(rows);
      if (choice) handles?.show(choice.names(rows), figure);
      const now = JSON.stringify(figure);
      if (now === drawn) return;
      drawn = now;
      chart ??= makeChart(canvas, drawing.kind, handles?.choose);
      chart.show(figure);
      legend?.show(figure);
      canvas.setAttribute("aria-label", drawing.summary(rows));
    },
    discard: () => chart?.discard(),
  };
}
