/** Saves tables as CSV files (RFC 4180) that are safe to open in a spreadsheet. */

import { button, element } from "./element.js";

/** @typedef {(string | number | null)[]} Line */

/** Spreadsheets run a text that begins like this as a formula; the apostrophe, so that the guard can be told from it. */
const GUARDED = /^['=+\-@\t\r\n＝＋－＠]/;

/** @param {string | number | null} value */
function field(value) {
  if (typeof value !== "string") return String(value ?? "");
  const safe = GUARDED.test(value) ? `'${value}` : value;
  return safe === "" || /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {string} name of the file, without the moment @param {Line[]} lines the first one has the headings */
export function saveCsv(name, lines) {
  const moment = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  const content = lines.map((line) => line.map(field).join(",") + "\r\n");
  const href = URL.createObjectURL(new Blob(content, { type: "text/csv;charset=utf-8" }));
  element("a", { href, download: `${name}-${moment}Z.csv` }).click();
  window.setTimeout(() => URL.revokeObjectURL(href), 1_000);
}

/** @param {string} name of the file @param {string} title of the table @param {() => Line[]} lines the present ones */
export const makeExport = (name, title, lines) =>
  button({ class: "tool", "data-export": "", "aria-label": `CSV: download ${title}` }, "CSV", () => saveCsv(name, lines()));
