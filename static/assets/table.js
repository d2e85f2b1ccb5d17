// @ts-check
/** The table behind a chart: patched in place, so that scrolling and selecting survive an update. */

import { element, setText } from "./element.js";
import { count, day, hour, length, NONE, percent } from "./format.js";

/** @typedef {string | number | null} Cell */
/** @typedef {Record<string, Cell>} Row */
/**
 * @typedef {object} Column the first column names its row
 * @property {string} key
 * @property {string} label
 * @property {"text" | "day" | "hour" | "count" | "percent" | "seconds"} kind
 */

/**
 * @param {Column["kind"]} kind
 * @param {Cell} cell
 * @returns {string}
 */
export function written(kind, cell) {
  if (kind === "text") return cell === null || cell === "" ? NONE : String(cell);
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
  return {
    table,
    show(rows) {
      while (body.rows.length > rows.length) body.deleteRow(-1);
      rows.forEach((row, index) => {
        const line = body.rows[index] ?? body.appendChild(emptyLine(columns));
        columns.forEach(({ key, kind }, at) => {
          const cell = line.cells[at];
          if (cell) setText(cell, written(kind, row[key] ?? null));
        });
      });
    },
  };
}

/** @param {Column[]} columns */
function emptyLine(columns) {
  const cells = columns.map(({ kind }, at) =>
    at === 0 ? element("th", { scope: "row", "data-kind": kind }) : element("td", { "data-kind": kind }),
  );
  return element("tr", {}, ...cells);
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
