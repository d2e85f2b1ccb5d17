// @ts-check
/** The table behind a chart: patched in place, so that scrolling and selecting survive an update. */

import { button, element, setText } from "./element.js";
import { count, day, hour, length, NONE, percent } from "./format.js";

/** @typedef {string | number | null} Cell */
/** @typedef {Record<string, Cell>} Row */
/**
 * @typedef {object} Column the first column names its row
 * @property {string} key
 * @property {string} label
 * @property {"text" | "name" | "day" | "hour" | "count" | "percent" | "seconds"} kind a `name` may be long, and wraps
 * @property {Pick} [pick] makes the cells buttons
 */
/**
 * @typedef {object} Pick
 * @property {(name: string) => void} choose
 * @property {() => string} chosen
 */

/**
 * @param {Column["kind"]} kind
 * @param {Cell} cell
 * @returns {string}
 */
export function written(kind, cell) {
  if (kind === "text" || kind === "name") return cell === null || cell === "" ? NONE : String(cell);
  if (kind === "day") return day(String(cell), "short");
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
  const headings = columns.map(({ label, kind }) => element("th", { scope: "col", "data-kind": kind }, label));
  const table = element(
    "table",
    {},
    element("caption", { class: "hidden-text" }, caption),
    element("thead", {}, element("tr", {}, ...headings)),
    body,
  );
  const picked = columns.find(({ pick }) => pick);
  /** @type {Cell[]} */
  let order = [];
  return {
    table,
    show(given) {
      const rows = picked && isPointedAt(table) ? inOrder(given, picked.key, order) : given;
      if (picked) order = rows.map((row) => row[picked.key] ?? null);
      while (body.rows.length > rows.length) body.deleteRow(-1);
      rows.forEach((row, index) => {
        const line = body.rows[index] ?? body.appendChild(emptyLine(columns));
        columns.forEach(({ key, kind, pick }, at) => {
          const cell = line.cells[at];
          const where = pick ? cell?.firstElementChild : cell;
          if (where) setText(where, written(kind, row[key] ?? null));
          if (pick) where?.setAttribute("aria-current", String(pick.chosen() === row[key]));
        });
      });
    },
  };
}

/** @param {Column[]} columns */
function emptyLine(columns) {
  const cells = columns.map(({ kind, pick }, at) => {
    const cell = at === 0 ? element("th", { scope: "row", "data-kind": kind }) : element("td", { "data-kind": kind });
    if (pick) {
      const choose = button({ class: "pick", "data-pick": "" }, "", () => pick.choose(choose.textContent ?? ""));
      cell.append(choose);
    }
    return cell;
  });
  return element("tr", {}, ...cells);
}

/** @param {HTMLTableElement} table */
const isPointedAt = (table) => table.matches(":hover") || table.querySelector(":focus-visible") !== null;

/**
 * What one is about to pick must not move away under the pointer.
 * @param {Row[]} rows
 * @param {string} key
 * @param {Cell[]} order
 * @returns {Row[]} as in `order`, those not in it last
 */
function inOrder(rows, key, order) {
  const place = new Map(order.map((name, at) => [name, at]));
  const at = (/** @type {Row} */ row) => place.get(row[key] ?? null) ?? order.length;
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
