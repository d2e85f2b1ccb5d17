/**
 * The units of time that statistics come in, and how the bins of each are named and drawn, in UTC. The server counts, and
 * leaves out empty bins; they are filled in here.
 */

import { count, day, dayAndTime, monthOf, time, toTheMillisecond, toTheSecond } from "./format.js";
import { amount, highest, number, sum } from "./rows.js";

/** @import { Drawing, Figure } from "./drawings.js" */
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
/** @typedef {Names & {id: string, bins: number, steps: Steps | null}} Shape the newest `bins` are drawn */
/** @typedef {Shape & {label: string, words: string}} Unit `words`: the bins drawn, as in a sentence */

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
const dayOf = (from) => day(from.slice(0, 10));

/** @param {string} from */
const fullDayOf = (from) => day(from.slice(0, 10), "long");

/** @type {Shape} */
const year = {
  id: "year",
  bins: 10,
  steps: stepsOfMonths(12),
  brief: yearOf,
  full: yearOf,
  tick: (from, back) => (back % 2 ? "" : yearOf(from)),
};

/** @type {Shape} */
const quarter = {
  id: "quarter",
  bins: 12,
  steps: stepsOfMonths(3),
  brief: (from) => `${quarterOf(from)} ${yearOf(from)}`,
  full: (from) => `${quarterOf(from)} ${yearOf(from)}`,
  tick: (from) => (quarterOf(from) === "Q1" ? yearOf(from) : quarterOf(from)),
};

/** @type {Shape} */
const month = {
  id: "month",
  bins: 24,
  steps: stepsOfMonths(1),
  brief: (from) => monthOf(from),
  full: (from) => monthOf(from, "long"),
  tick: (from) => {
    const number = Number(from.slice(5, 7));
    if (number === 1) return yearOf(from);
    return number % 3 === 1 ? monthOf(from).slice(0, 3) : "";
  },
};

/** @type {Shape} */
const week = {
  id: "week",
  bins: 26,
  steps: stepsOf(7 * DAY_MS, FIRST_MONDAY),
  brief: (from) => `Week of ${dayOf(from)}`,
  full: (from) => `The week from ${fullDayOf(from)}`,
  tick: (from, back) => (back % 5 ? "" : dayOf(from)),
};

/** @type {Shape} */
const days = {
  id: "day",
  bins: 30,
  steps: stepsOf(DAY_MS),
  brief: dayOf,
  full: fullDayOf,
  tick: (from, back) => (back % 7 ? "" : dayOf(from)),
};

/** @type {Shape} */
export const hour = {
  id: "hour",
  bins: 24,
  steps: stepsOf(HOUR_MS),
  brief: dayAndTime,
  full: (from) => `${dayAndTime(from)} to ${time(new Date(Date.parse(from) + HOUR_MS).toISOString())} UTC`,
  tick: (from) => {
    if (time(from) === "00:00") return dayOf(from);
    return Number(time(from).slice(0, 2)) % 6 ? "" : time(from);
  },
};

/** @type {Shape} */
export const minute = {
  id: "minute",
  bins: 60,
  steps: stepsOf(MINUTE_MS),
  brief: time,
  full: (from) => `${dayAndTime(from)} UTC`,
  tick: (from) => (Number(time(from).slice(3)) % 10 ? "" : time(from)),
};

/** @type {Shape} */
const second = {
  id: "second",
  bins: 60,
  steps: stepsOf(SECOND_MS),
  brief: toTheSecond,
  full: (from) => `${toTheSecond(from)} UTC`,
  tick: (from) => (Number(toTheSecond(from).slice(17)) % 15 ? "" : toTheSecond(from).slice(11)),
};

/** Without empty bins: one second of them is wider than any screen. @type {Shape} */
const millisecond = {
  id: "millisecond",
  bins: 40,
  steps: null,
  brief: toTheMillisecond,
  full: (from) => `${toTheMillisecond(from)} UTC`,
  tick: (from, back) => (back % 16 === 7 ? toTheMillisecond(from).slice(11) : ""),
};

/** @param {Shape} shape @returns {Unit} */
const unit = (shape) => ({
  ...shape,
  label: shape.id.charAt(0).toUpperCase() + shape.id.slice(1),
  words: shape.steps ? `the last ${shape.bins} ${shape.id}s` : `the newest ${shape.bins} that are not empty`,
});

/** @type {Unit} */
export const HOUR = unit(hour);

/** @type {[Unit, ...Unit[]]} */
export const UNITS = [unit(year), ...[quarter, month, week, days].map(unit), HOUR, ...[minute, second, millisecond].map(unit)];

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
 * @param {Row[]} rows that begin at `from`, oldest first
 * @param {Names} names @param {string} value @param {string} name @param {string} colour
 * @param {boolean} [open] whether the last bin goes on
 * @returns {Figure}
 */
export function binsFigure(rows, names, value, name, colour, open = true) {
  const last = rows.length - 1;
  return {
    labels: rows.map(({ from }, at) => names.full(String(from)) + (open && at === last ? ", so far" : "")),
    ticks: rows.map(({ from }, at) => names.tick(String(from), last - at)),
    series: [{ name, values: rows.map((row) => number(row[value])), colours: [colour] }],
    open,
  };
}

/**
 * @param {Row[]} rows @param {Names} names @param {string} value
 * @returns {string} when it was most, after a comma; empty if all bins are empty
 */
export function mostIn(rows, names, value) {
  const peak = highest(rows, value);
  return amount(peak, value) ? `, most at ${names.full(String(peak.from))} with ${count(amount(peak, value))}` : "";
}

/**
 * Columns over the bins of `binsUpTo`.
 * @param {string} value @param {string} name @param {string} colour @returns {Drawing}
 */
export const perUnit = (value, name, colour) => ({
  kind: "columns",
  figure: (rows) => {
    const unit = unitOf(rows[0]?.unit);
    return binsFigure([...rows].reverse(), unit, value, name, colour, unit.steps !== null);
  },
  summary: (rows) => {
    const unit = unitOf(rows[0]?.unit);
    return `Columns, ${name} per ${unit.id}: ${count(sum(rows, value))} in ${unit.words}${mostIn(rows, unit, value)}.`;
  },
});
