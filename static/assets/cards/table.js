// @ts-check
/** The table behind a chart: patched in place, so that scrolling and selecting survive an update. */

import { count, day, dayAndTime, hour, length, NONE, percent, shorten, toTheSecond } from "../figures/format.js";
import { button, element, setText } from "../widgets/element.js";

/** @import { Cell, Pick, Row } from "../figures/rows.js" */
/**
 * @typedef {object} Column the first column names its row
 * @property {string} key
 * @property {string} label
 * @property {"text" | "name" | "id" | "json" | "day" | "hour" | "time" | "instant" | "count" | "percent" | "seconds"} kind a
 *   `name` may be long, and wraps; an `id` is cut, and whole in the file; a `time` is to the minute, an `instant` to the second
 * @property {(row: Row) => string} [write] where its kind does not say how
 * @property {Pick} [pick] makes the cells buttons
 * @property {string} [bar] the key of the percentage that is drawn behind the cells
 */

/** Of a text in a cell of JSON; the file has it whole. */
const LONGEST_JSON = 200;
/** Its beginning and its end are told apart at a glance. */
export const LONGEST_ID = 13;

/**
 * @param {Column["kind"]} kind
 * @param {Cell} cell
 * @returns {string}
 */
export function written(kind, cell) {
  if (kind === "text" || kind === "name") return cell === null || cell === "" ? NONE : String(cell);
  if (kind === "id") return cell === null ? NONE : shorten(String(cell), LONGEST_ID);
  if (kind === "json") return cell === null ? NONE : shorten(String(cell), LONGEST_JSON);
  if (kind === "day") return day(String(cell), "short");
  if (kind === "time") return dayAndTime(String(cell));
  if (kind === "instant") return toTheSecond(String(cell));
  const value = typeof cell === "number" ? cell : null;
  return { count, percent, hour, seconds: length }[kind](value);
}

/**
 * @param {string} caption
 * @param {Column[]} columns
 * @returns {{table: HTMLTableElement, show: (rows: Row[]) => void}}
 */
export function makeTable(caption, columns) {
  const body = element("tbody");
  const headings = columns.map((column) => element("th", { scope: "col", ...marks(column) }, column.label));
  const table = element(
    "table",
    {},
    element("caption", { class: "hidden-text" }, caption),
    element("thead", {}, element("tr", {}, ...headings)),
    body,
  );
  const picked = columns.find(({ pick }) => pick);
  const pickedKey = picked?.pick?.by ?? picked?.key ?? "";
  const own = (/** @type {Row} */ row) => row.id ?? row[pickedKey] ?? null;
  /** @type {Cell[]} */
  let order = [];
  return {
    table,
    show(given) {
      const rows = picked && isPointedAt(table) ? inOrder(given, own, order) : given;
      if (picked) order = rows.map(own);
      while (body.rows.length > rows.length) body.deleteRow(-1);
      rows.forEach((row, index) => {
        const line = body.rows[index] ?? body.appendChild(emptyLine(columns));
        line.toggleAttribute("data-composed", Boolean(row.composed));
        columns.forEach(({ key, kind, write, pick, bar }, at) => {
          const cell = line.cells[at];
          if (bar) cell?.style.setProperty("--bar", `${row[bar] ?? 0}%`);
          const where = pick ? cell?.firstElementChild : cell;
          if (where) setText(where, write?.(row) ?? written(kind, row[key] ?? null));
          if (pick && where instanceof HTMLElement) showPick(where, pick, String(row[pickedKey] ?? ""));
        });
      });
    },
  };
}

/**
 * @param {Column} column
 * @returns {Record<string, string>} what its cells look like
 */
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

/**
 * @param {HTMLElement} where
 * @param {Pick} pick
 * @param {string} name what a click chooses
 */
function showPick(where, pick, name) {
  where.dataset.pick = name;
  where.setAttribute("aria-current", String(pick.chosen() === name));
}

/** @param {HTMLTableElement} table */
const isPointedAt = (table) => table.matches(":hover") || table.querySelector(":focus-visible") !== null;

/**
 * What one is about to pick must not move away under the pointer.
 * @param {Row[]} rows
 * @param {(row: Row) => Cell} own what tells a row from the others
 * @param {Cell[]} order
 * @returns {Row[]} as in `order`, those not in it last
 */
function inOrder(rows, own, order) {
  const place = new Map(order.map((name, at) => [name, at]));
  const at = (/** @type {Row} */ row) => place.get(own(row)) ?? order.length;
  return [...rows].sort((a, b) => at(a) - at(b));
}

/**
 * What the table says, as lines for a CSV file: numbers stay numbers.
 * @param {Column[]} columns
 * @param {Row[]} rows
 * @returns {Cell[][]}
 */
export function tableLines(columns, rows) {
  const headings = columns.map(({ label, kind }) => (kind === "seconds" ? `${label} (seconds)` : label));
  return [headings, ...rows.map((row) => columns.map(({ key }) => row[key] ?? null))];
}
