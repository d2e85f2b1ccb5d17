/** Tables that are changed in place, so that scrolling and selections survive an update. */

import { count, day, dayAndTime, hour, length, NONE, percent, shorten, toTheSecond } from "../figures/format.js";
import { button, element, setText, showEach } from "../widgets/element.js";

/** @import { Cell, Pick, Row } from "../figures/rows.js" */
/**
 * @typedef {object} Column the first one has the rows' names
 * @property {string} key
 * @property {string} label
 * @property {Kind} kind
 * @property {(row: Row) => string} [write] formats the cells, instead of the kind
 * @property {Pick} [pick] makes the cells buttons
 * @property {string} [bar] the key of a percentage that is drawn behind the cells
 */

/**
 * A `name` wraps, and is cut if it is very long; `words` only wrap; an `id` is cut. The file has all of them whole. A `time`
 * is to the minute, an `instant` to the second.
 * @typedef {"text" | "name" | "words" | "id" | "json" | "day" | "hour" | "time" | "instant" | "count" | "percent" | "seconds"} Kind
 */

/** Three lines of the narrowest card; the tooltip has it whole. */
const LONGEST_NAME = 72;
/** Longer JSON is cut; the file has it whole. */
const LONGEST_JSON = 200;
/** Beginning and end are enough to tell ids apart. */
export const LONGEST_ID = 13;

/** @param {Kind} kind @param {Cell} cell @returns {string} */
function written(kind, cell) {
  if (cell === null || cell === "") return NONE;
  if (kind === "text" || kind === "words") return String(cell);
  if (kind === "name") return shorten(String(cell), LONGEST_NAME);
  if (kind === "id") return shorten(String(cell), LONGEST_ID);
  if (kind === "json") return shorten(String(cell), LONGEST_JSON);
  if (kind === "day") return day(String(cell));
  if (kind === "time") return dayAndTime(String(cell));
  if (kind === "instant") return toTheSecond(String(cell));
  const value = typeof cell === "number" ? cell : null;
  return { count, percent, hour, seconds: length }[kind](value);
}

/** @param {string} title @param {Column[]} columns @returns {{sheet: HTMLElement, show: (rows: Row[]) => void}} */
export function makeSheet(title, columns) {
  const body = element("tbody");
  const headings = columns.map((column) => element("th", { scope: "col", ...marks(column) }, column.label));
  const table = element(
    "table",
    {},
    element("caption", { class: "hidden-text" }, title),
    element("thead", {}, element("tr", {}, ...headings)),
    body,
  );
  const picked = columns.find(({ pick }) => pick);
  const pickedKey = picked?.pick?.by ?? picked?.key ?? "";
  const identity = (/** @type {Row} */ row) => row.id ?? row[pickedKey] ?? null;
  /** @type {Cell[]} */
  let order = [];
  return {
    sheet: element("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": `${title}, table` }, table),
    show(newest) {
      const rows = picked && isPointedAt(table) ? inOrder(newest, identity, order) : newest;
      if (picked) order = rows.map(identity);
      showEach(body, rows, () => emptyLine(columns), (line, row) => {
        line.toggleAttribute("data-composed", Boolean(row.composed));
        columns.forEach((column, at) => showCell(/** @type {HTMLElement} */ (line.children[at]), column, row));
      });
    },
  };
}

/** @param {HTMLElement} cell @param {Column} column @param {Row} row */
function showCell(cell, { key, kind, write, pick, bar }, row) {
  const choose = cell.querySelector("button");
  if (bar) cell.style.setProperty("--bar", `${row[bar] ?? 0}%`);
  const words = write?.(row) ?? written(kind, row[key] ?? null);
  setText(choose ?? cell, words);
  if (kind === "name" && words.length < String(row[key] ?? "").length) cell.title = String(row[key]);
  else cell.removeAttribute("title");
  if (!pick || !choose) return;
  choose.dataset.pick = String(row[pick.by ?? key] ?? "");
  choose.setAttribute("aria-current", String(pick.chosen() === choose.dataset.pick));
}

/** @param {Column} column @returns {Record<string, string>} how its cells look */
const marks = ({ kind, bar }) => (bar ? { "data-kind": kind, "data-bar": "" } : { "data-kind": kind });

/** @param {Column[]} columns */
function emptyLine(columns) {
  const cells = columns.map((column, at) => {
    const { pick } = column;
    const cell = at === 0 ? element("th", { scope: "row", ...marks(column) }) : element("td", marks(column));
    if (pick) {
      const choose = button({ class: "pick", "data-pick": "" }, "", () => pick.choose(choose.dataset.pick ?? ""));
      cell.append(choose);
    }
    return cell;
  });
  return element("tr", {}, ...cells);
}

/** @param {HTMLTableElement} table */
const isPointedAt = (table) => table.matches(":hover") || table.querySelector(":focus-visible") !== null;

/**
 * Keeps the order, so that no row moves away under the pointer.
 * @param {Row[]} rows @param {(row: Row) => Cell} identity @param {Cell[]} order @returns {Row[]} new ones last
 */
function inOrder(rows, identity, order) {
  const place = new Map(order.map((id, at) => [id, at]));
  const at = (/** @type {Row} */ row) => place.get(identity(row)) ?? order.length;
  return [...rows].sort((a, b) => at(a) - at(b));
}

/** Lines of a CSV file: numbers stay numbers. @param {Column[]} columns @param {Row[]} rows @returns {Cell[][]} */
export function tableLines(columns, rows) {
  const headings = columns.map(({ label, kind }) => (kind === "seconds" ? `${label} (seconds)` : label));
  return [headings, ...rows.map((row) => columns.map(({ key }) => row[key] ?? null))];
}
