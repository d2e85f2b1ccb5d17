// @ts-check
/** A table as a CSV file (RFC 4180), safe to open in a spreadsheet. */

import { button } from "./element.js";

/** A spreadsheet takes a text that starts like this for a formula, and runs it. */
const FORMULA = /^[=+\-@\t\r＝＋－＠]/;

/**
 * @param {(string | number | null)[][]} lines the first one holds the headings
 * @returns {string}
 */
function toCsv(lines) {
  return lines.map((line) => line.map(field).join(",") + "\r\n").join("");
}

/** @param {string | number | null} value */
function field(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * @param {string} name without the moment and the ending
 * @param {(string | number | null)[][]} lines the first one holds the headings
 */
export function saveCsv(name, lines) {
  const moment = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  download(`${name}-${moment}Z.csv`, toCsv(lines));
}

/**
 * A button that downloads lines as they are at the moment.
 * @param {string} name of the file, before that moment
 * @param {string} title of what is in it
 * @param {() => (string | number | null)[][]} lines
 */
export const makeExport = (name, title, lines) =>
  button({ class: "tool", "data-export": "", "aria-label": `CSV: download ${title}` }, "CSV", () => saveCsv(name, lines()));

/**
 * @param {string} name
 * @param {string} content
 */
function download(name, content) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 1_000);
}
