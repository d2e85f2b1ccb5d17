// @ts-check
/** One subject on the page: a chart, the table behind it, and the table as a file. All three come from the same rows. */

import { makeChart } from "./charts.js";
import { download, toCsv } from "./csv.js";
import { button, element } from "./element.js";
import { makeLegend } from "./legend.js";
import { makeTable, tableLines } from "./table.js";

/** @typedef {import("./read.js").Json} Json */
/** @typedef {import("./table.js").Row} Row */
/**
 * @typedef {object} Drawing how the rows become a chart
 * @property {import("./charts.js").Kind} kind
 * @property {(rows: Row[]) => import("./charts.js").Figure} figure
 * @property {(rows: Row[]) => string} summary what the chart shows, in a sentence, for who cannot see it
 * @property {boolean} [legend]
 */
/**
 * @typedef {object} Card
 * @property {string} id
 * @property {string} title
 * @property {string} hint
 * @property {"third" | "half" | "wide"} width
 * @property {import("./table.js").Column[]} columns
 * @property {(payload: Json) => Row[]} rows
 * @property {boolean} [footed] the last row sums up the others
 * @property {Drawing} [drawing] without one the card is its table
 */

/**
 * @param {string} panel the panel's id, for the file's name
 * @param {Card} card
 * @returns {{section: HTMLElement, show: (payload: Json) => void}}
 */
export function makeCard(panel, card) {
  const { table, show: showTable } = makeTable(card.title, card.columns);
  const title = `${panel}-${card.id}-title`;
  const sheet = element("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": `${card.title}, table` }, table);
  const body = element("div", { class: "card-body" }, sheet);
  const tools = element("div", { class: "tools" });
  const heading = element("div", {}, element("h2", { id: title }, card.title), element("p", { class: "hint" }, card.hint));
  const section = element(
    "section",
    { class: "card", "data-card": card.id, "data-width": card.width, "aria-labelledby": title },
    element("header", { class: "card-top" }, heading, tools),
    body,
  );
  /** @type {Row[]} */
  let rows = [];
  const draw = card.drawing && makeDrawing(card.drawing, body);

  function render() {
    if (section.dataset.view === "table") showTable(rows);
    else draw?.(rows);
  }

  /** @param {"chart" | "table"} view */
  function turn(view) {
    section.dataset.view = view;
    sheet.hidden = view !== "table";
  }

  section.toggleAttribute("data-footed", card.footed ?? false);
  turn(draw ? "chart" : "table");
  if (draw) {
    const toggle = button({ class: "tool", "data-toggle": "", "aria-label": `Table: ${card.title}` }, "Table", () => {
      turn(section.dataset.view === "table" ? "chart" : "table");
      toggle.setAttribute("aria-pressed", String(section.dataset.view === "table"));
      render();
    });
    toggle.setAttribute("aria-pressed", "false");
    tools.append(toggle);
  }
  const save = () => download(`${panel}-${card.id}-${stamp()}`, toCsv(tableLines(card.columns, rows)));
  tools.append(button({ class: "tool", "data-export": "", "aria-label": `CSV: download ${card.title}` }, "CSV", save));

  return {
    section,
    show(payload) {
      rows = card.rows(payload);
      section.toggleAttribute("data-bare", rows.length === 0);
      render();
    },
  };
}

/**
 * @param {Drawing} drawing
 * @param {HTMLElement} body
 * @returns {(rows: Row[]) => void}
 */
function makeDrawing(drawing, body) {
  const canvas = element("canvas", { role: "img", "aria-label": "No numbers yet" });
  const legend = drawing.legend ? makeLegend() : null;
  const picture = element("div", { class: "picture", "data-kind": drawing.kind }, element("div", { class: "canvas" }, canvas));
  if (legend) picture.append(legend.list);
  body.prepend(picture);
  /** @type {((figure: import("./charts.js").Figure) => void) | null} */
  let show = null;
  let drawn = "";
  return (rows) => {
    const figure = drawing.figure(rows);
    const now = JSON.stringify(figure);
    if (now === drawn) return;
    drawn = now;
    show ??= makeChart(canvas, drawing.kind);
    show(figure);
    legend?.show(figure);
    canvas.setAttribute("aria-label", drawing.summary(rows));
  };
}

/** The moment of the export, fit for a file's name. */
const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "-") + "Z";
