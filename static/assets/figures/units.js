/**
 * The units of time that statistics come in, and how the bins of each are named and drawn, in UTC. The server counts, and
 * leaves out empty bins; they are filled in here.
 */

import { count, day, dayAndTime, fullDay, fullMonth, month, time, toTheMillisecond, toTheSecond } from "./format.js";
import { highest, number, numbers, sum } from "./rows.js";

/** @import { Drawing, Kind } from "./drawings.js" */
/** @import { Row } from "./rows.js" */
/**
 * @typedef {object} Names
 * @property {(from: string) => string} brief the beginning of a bin
 * @property {(from: string) => string} full the bin's name where it stands alone
 * @property {(from: string, back: number) => string} tick the label on the axis, `back` bins before the last; mostly
 *   empty: on a phone there is room for six
 */
/**
 * @typedef {object} Steps
 * @property {(at: number) => number} start of the bin with this moment
 * @property {(start: number, bins: number) => number} before the start, so many bins earlier
 */
/**
 * The newest `bins` are drawn; `words` says which these are.
 * @typedef {{id: string, label: string, words: string, bins: number, steps: Steps | null} & Names} Unit
 */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Weeks begin on Mondays, and 1970 began on a Thursday. */
const FIRST_MONDAY = 4 * DAY_MS;
/** The database's clock may be ahead of the server's by so much. */
const SKEW_MS = 5 * SECOND_MS;

/** @param {number} ms @param {number} [origin] @returns {Steps} */
const stepsOf = (ms, origin = 0) => ({
  start: (at) => Math.floor((at - origin) / ms) * ms + origin,
  before: (start, bins) => start - bins * ms,
});

/** @param {number} months @returns {Steps} */
const stepsOfMonths = (months) => ({
  start: (at) => {
    const date = new Date(at);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - (date.getUTCMonth() % months));
  },
  before: (start, bins) => Date.UTC(new Date(start).getUTCFullYear(), new Date(start).getUTCMonth() - bins * months),
});

/** @param {string} from */
const yearOf = (from) => from.slice(0, 4);

/** @param {string} from */
const quarterOf = (from) => `Q${Math.ceil(Number(from.slice(5, 7)) / 3)}`;

/** @param {string} from */
const quarterAndYear = (from) => `${quarterOf(from)} ${yearOf(from)}`;

/** @param {string} id @param {number} bins @param {Steps | null} steps @param {Names} names @returns {Unit} */
const unit = (id, bins, steps, names) => ({
  id,
  label: id.charAt(0).toUpperCase() + id.slice(1),
  words: steps ? `the last ${bins} ${id}s` : `the newest ${bins} that are not empty`,
  bins,
  steps,
  ...names,
});

export const HOUR = unit("hour", 24, stepsOf(HOUR_MS), {
  brief: dayAndTime,
  full: (from) => `${dayAndTime(from)} to ${time(new Date(Date.parse(from) + HOUR_MS).toISOString())} UTC`,
  tick: (from) => {
    if (time(from) === "00:00") return day(from);
    return Number(time(from).slice(0, 2)) % 6 ? "" : time(from);
  },
});

/** @type {[Unit, ...Unit[]]} */
export const UNITS = [
  unit("year", 10, stepsOfMonths(12), {
    brief: yearOf,
    full: yearOf,
    tick: (from, back) => (back % 2 ? "" : yearOf(from)),
  }),
  unit("quarter", 12, stepsOfMonths(3), {
    brief: quarterAndYear,
    full: quarterAndYear,
    tick: (from) => (quarterOf(from) === "Q1" ? yearOf(from) : quarterOf(from)),
  }),
  unit("month", 24, stepsOfMonths(1), {
    brief: month,
    full: fullMonth,
    tick: (from) => {
      const number = Number(from.slice(5, 7));
      if (number === 1) return yearOf(from);
      return number % 3 === 1 ? month(from).slice(0, 3) : "";
    },
  }),
  unit("week", 26, stepsOf(7 * DAY_MS, FIRST_MONDAY), {
    brief: (from) => `Week of ${day(from)}`,
    full: (from) => `The week from ${fullDay(from)}`,
    tick: (from, back) => (back % 5 ? "" : day(from)),
  }),
  unit("day", 30, stepsOf(DAY_MS), {
    brief: day,
    full: fullDay,
    tick: (from, back) => (back % 7 ? "" : day(from)),
  }),
  HOUR,
  unit("minute", 60, stepsOf(MINUTE_MS), {
    brief: time,
    full: (from) => `${dayAndTime(from)} UTC`,
    tick: (from) => (Number(time(from).slice(3)) % 10 ? "" : time(from)),
  }),
  unit("second", 60, stepsOf(SECOND_MS), {
    brief: toTheSecond,
    full: (from) => `${toTheSecond(from)} UTC`,
    tick: (from) => (Number(toTheSecond(from).slice(17)) % 15 ? "" : toTheSecond(from).slice(11)),
  }),
  // Without empty bins: one second of them is wider than any screen.
  unit("millisecond", 40, null, {
    brief: toTheMillisecond,
    full: (from) => `${toTheMillisecond(from)} UTC`,
    tick: (from, back) => (back % 16 === 7 ? toTheMillisecond(from).slice(11) : ""),
  }),
];

/** @param {unknown} id */
export const unitOf = (id) => UNITS.find((unit) => unit.id === id) ?? HOUR;

/**
 * The bins to draw, newest first.
 * @param {Unit} unit @param {Payloads["Bin"][]} counted the bins that are not empty, newest first
 * @param {number} moment up to which the counts are known; later bins are not drawn
 * @returns {Row[]}
 */
export function binsUpTo(unit, counted, moment) {
  const { steps } = unit;
  const counts = new Map(counted.map(({ time, count }) => [Date.parse(time), count]));
  const times = [...counts.keys()].filter((at) => at <= moment + SKEW_MS);
  const drawn = steps
    ? Array.from({ length: unit.bins }, (_, back) => steps.before(steps.start(Math.max(moment, times[0] ?? moment)), back))
    : times.slice(0, unit.bins);
  return drawn.map((at) => ({ unit: unit.id, from: new Date(at).toISOString(), count: counts.get(at) ?? 0 }));
}

/**
 * A drawing of bins that begin at `from`; the last one goes on, but for units that leave out empty bins.
 * @param {Kind} kind @param {string} value @param {string} name @param {string} colour
 * @param {(row: Row | undefined) => {unit: Unit, words: string}} spanOf what its bins are, and which in words
 * @returns {Drawing}
 */
export const perBin = (kind, value, name, colour, spanOf) => ({
  kind,
  figure(rows) {
    const { unit } = spanOf(rows[0]);
    const open = unit.steps !== null;
    const oldestFirst = [...rows].sort((a, b) => String(a.from).localeCompare(String(b.from)));
    const last = rows.length - 1;
    return {
      labels: oldestFirst.map(({ from }, at) => unit.full(String(from)) + (open && at === last ? ", so far" : "")),
      ticks: oldestFirst.map(({ from }, at) => unit.tick(String(from), last - at)),
      series: [{ name, values: numbers(oldestFirst, value), colours: [colour] }],
      open,
    };
  },
  summary(rows) {
    const { unit, words } = spanOf(rows[0]);
    const { from, [value]: most } = highest(rows, value);
    const peak = most ? `, most at ${unit.full(String(from))} with ${count(number(most))}` : "";
    return `${kind === "line" ? "Area" : "Columns"}, ${name} per ${unit.id}: ${count(sum(rows, value))} in ${words}${peak}.`;
  },
});
