/**
 * The windows of time that the reader can pick, and how their bins are named and drawn. The last bin is the minute, hour
 * or day that goes on.
 */

import { count, day, weekday } from "./format.js";
import { sum } from "./rows.js";
import { binsFigure, hour, minute, mostIn } from "./units.js";

/** @import { Drawing } from "./drawings.js" */
/** @import { Names } from "./units.js" */
/**
 * @typedef {object} Frame
 * @property {"hour" | "day" | "week"} id
 * @property {string} label
 * @property {string} words its name in a sentence
 * @property {string} bin the unit of its bins
 */
/** @typedef {Frame & Names} Window */

/** @type {Window} */
const lastHour = { ...minute, id: "hour", label: "Last hour", words: "the last hour", bin: "minute" };

/** @type {Window} */
const lastDay = { ...hour, id: "day", label: "Last 24 hours", words: "the last 24 hours", bin: "hour" };

/** @type {Window} */
const lastWeek = {
  id: "week",
  label: "Last 7 days",
  words: "the last 7 days",
  bin: "day",
  brief: (from) => day(from.slice(0, 10)),
  full: (from) => day(from.slice(0, 10), "long"),
  tick: (from, back) => (back ? weekday(from) : "Today"),
};

/** @type {[Window, ...Window[]]} */
export const WINDOWS = [lastHour, lastDay, lastWeek];

/** @param {unknown} id @returns {Window} */
export const windowOf = (id) => WINDOWS.find((window) => window.id === id) ?? lastHour;

/**
 * An area over the bins that begin at `from`, oldest first; `window` of each row is the window's id.
 * @param {string} value @param {string} name @returns {Drawing}
 */
export function perBin(value, name) {
  return {
    kind: "line",
    figure: (rows) => binsFigure(rows, windowOf(rows[0]?.window), value, name, "--accent"),
    summary: (rows) => {
      const window = windowOf(rows[0]?.window);
      return `Area, ${name} per ${window.bin}: ${count(sum(rows, value))} in ${window.words}${mostIn(rows, window, value)}.`;
    },
  };
}
