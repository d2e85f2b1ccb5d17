/** The rows of a card, and their sums, peaks and largest parts, which charts and summaries are made of. */

import { count, percentage } from "./format.js";

/** @typedef {string | number | null} Cell */
/** @typedef {Record<string, Cell>} Row `id` identifies it; `composed`: it sums up others, and has no name of its own */
/**
 * What can be picked; `by` is the key of what is chosen, where the cells do not say it themselves.
 * @typedef {{choose: (name: string) => void, chosen: () => string, by?: string}} Pick
 */
/** @typedef {{name: string, value: number, rest?: boolean}} Part `rest`: all that are not among the largest */

/** The name of a `rest`; a real part may have the same name. */
export const OTHERS = "Other";

/** @param {Cell} [cell] @returns {number | null} null if it has no number */
export const number = (cell) => (typeof cell === "number" ? cell : null);

/** @param {Row[]} rows @param {string} key */
export const numbers = (rows, key) => rows.map((row) => number(row[key]));

/** @param {Row} row @param {string} key */
export const amount = (row, key) => Number(row[key] ?? 0);

/** @param {Row[]} rows @param {string} key */
export const sum = (rows, key) => rows.reduce((total, row) => total + amount(row, key), 0);

/** Adds the `share` of each row, a percentage. @param {Row[]} rows @param {string} key @param {number} [total] @returns {Row[]} */
export const withShare = (rows, key, total = sum(rows, key)) =>
  rows.map((row) => ({ ...row, share: percentage(amount(row, key), total) }));

/**
 * The share and the name of the first row, for a tile.
 * @param {Row[]} rows largest first, each with its `share` @param {string} name @param {string} none in place of no rows
 * @returns {[number | null, string]}
 */
export const top = ([first], name, none) => [number(first?.share), String(first?.[name] ?? none)];

/** @param {Row[]} rows @param {string} key @returns {Row} the first one with the highest value */
export const highest = (rows, key) =>
  rows.reduce((best, row) => (amount(row, key) > amount(best, key) ? row : best), rows[0] ?? {});

/**
 * The largest rows, and the rest as one part: so a chart stays readable. The table has them all.
 * @param {Row[]} rows largest first
 * @param {string} name @param {string} value @param {number} limit @returns {Part[]}
 */
export function largest(rows, name, value, limit) {
  const parts = rows.map((row) => ({ name: String(row[name]), value: amount(row, value) }));
  if (parts.length <= limit + 1) return parts;
  return [...parts.slice(0, limit), { name: OTHERS, value: sum(rows.slice(limit), value), rest: true }];
}

/** @param {Part[]} parts */
export const inWords = (parts) => parts.map(({ name, value }) => `${name} ${count(value)}`).join(", ");
