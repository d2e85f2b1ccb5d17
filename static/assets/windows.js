// @ts-check
/**
 * The windows of time that a reader looks through, and how the bins they are made of are named and drawn. The last bin
 * is the minute, hour or day that is not over.
 */

import { count, day, dayAndTime, time, weekday } from "./format.js";
import { number } from "./read.js";
import { amount, highest, sum } from "./rows.js";

/** @typedef {import("./table.js").Row} Row */
/**
 * @typedef {object} Window
 * @property {"hour" | "day" | "week"} id
 * @property {string} label
 * @property {string} words in a sentence
 * @property {string} bin what it is made of
 * @property {(from: string) => string} brief the beginning of a bin, UTC
 * @property {(from: string) => string} full the bin, said so that it stands alone
 * @property {(from: string, last: boolean) => string} tick for the axis; empty where it shall stay free
 */

/** A tick every ten minutes, and every six hours: they have room on a phone. */
const MINUTES = 10;
const HOURS = 6;
const HOUR_MS = 3_600_000;

/** @param {string} from */
const midnight = (from) => time(from) === "00:00";

/** @type {Window} */
const hour = {
  id: "hour",
  label: "Last hour",
  words: "the last hour",
  bin: "minute",
  brief: time,
  full: (from) => `${dayAndTime(from)} UTC`,
  tick: (from) => (Number(time(from).slice(3)) % MINUTES ? "" : time(from)),
};

/** @type {Window} */
const hours = {
  id: "day",
  label: "Last 24 hours",
  words: "the last 24 hours",
  bin: "hour",
  brief: dayAndTime,
  full: (from) => `${dayAndTime(from)} to ${time(new Date(Date.parse(from) + HOUR_MS).toISOString())} UTC`,
  tick: (from) => {
    if (midnight(from)) return day(from.slice(0, 10));
    return Number(time(from).slice(0, 2)) % HOURS ? "" : time(from);
  },
};

/** @type {Window} */
const days = {
  id: "week",
  label: "Last 7 days",
  words: "the last 7 days",
  bin: "day",
  brief: (from) => day(from.slice(0, 10)),
  full: (from) => day(from.slice(0, 10), "long"),
  tick: (from, last) => (last ? "Today" : weekday(from)),
};

/** @type {[Window, ...Window[]]} */
export const WINDOWS = [hour, hours, days];

/**
 * @param {unknown} id
 * @returns {Window}
 */
export const windowOf = (id) => WINDOWS.find((window) => window.id === id) ?? hour;

/**
 * An area over the bins that begin at `from`, oldest first; the rows say of which `window` they are.
 * @param {string} value @param {string} name
 * @returns {import("./card.js").Drawing}
 */
export function perBin(value, name) {
  return {
    kind: "line",
    figure: (rows) => {
      const window = windowOf(rows[0]?.window);
      const isLast = (/** @type {number} */ at) => at === rows.length - 1;
      return {
        labels: rows.map(({ from }, at) => window.full(String(from)) + (isLast(at) ? ", so far" : "")),
        ticks: rows.map(({ from }, at) => window.tick(String(from), isLast(at))),
        series: [{ name, values: rows.map((row) => number(row[value])), colours: ["--accent"] }],
        open: true,
      };
    },
    summary: (rows) => {
      const window = windowOf(rows[0]?.window);
      const peak = highest(rows, value);
      const most = amount(peak, value) ? `, most at ${window.full(String(peak.from))} with ${count(amount(peak, value))}` : "";
      return `Area, ${name} per ${window.bin}: ${count(sum(rows, value))} in ${window.words}${most}.`;
    },
  };
}
