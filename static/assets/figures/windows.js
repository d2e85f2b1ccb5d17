/** The windows of time that the reader can pick. The last bin of each is the minute, hour or day that goes on. */

import { weekday } from "./format.js";
import { unitOf } from "./units.js";

/** @import { Unit } from "./units.js" */
/** @typedef {{id: "hour" | "day" | "week", label: string, words: string, unit: Unit}} Window `words`: in a sentence */

const DAY = unitOf("day");

/** @type {[Window, ...Window[]]} */
export const WINDOWS = [
  { id: "hour", label: "Last hour", words: "the last hour", unit: unitOf("minute") },
  { id: "day", label: "Last 24 hours", words: "the last 24 hours", unit: unitOf("hour") },
  {
    id: "week",
    label: "Last 7 days",
    words: "the last 7 days",
    unit: { ...DAY, tick: (from, back) => (back ? weekday(from) : "Today") },
  },
];

/** @param {unknown} id */
export const windowOf = (id) => WINDOWS.find((window) => window.id === id) ?? WINDOWS[0];
