/** Drawings that panels share. Each makes two things out of a card's rows: a figure, and a sentence that says the same. */

import { today } from "./days.js";
import { count, day, fullDay, hour, shorten } from "./format.js";
import { REST, seriesColour } from "./palette.js";
import { amount, highest, inWords, largest, number, numbers, OTHERS, sum } from "./rows.js";

/** @import { Part, Pick, Row } from "./rows.js" */
/** @typedef {"line" | "columns" | "bars" | "doughnut"} Kind */
/** @typedef {{name: string, values: (number | null)[], colours: string[]}} Series a colour per value, or one for all */
/**
 * @typedef {object} Figure what a chart shows
 * @property {string[]} labels one per value, in full: the tooltip's title
 * @property {string[]} ticks one per value, for the axis; may be empty
 * @property {Series[]} series
 * @property {boolean} [open] the last value of a line belongs to a time that goes on
 * @property {number} [longest] characters of a tick
 * @property {[string, string]} [unit] what is counted, singular and plural
 */
/**
 * @typedef {object} Drawing how rows become a chart
 * @property {Kind} kind
 * @property {(rows: Row[]) => Figure} figure
 * @property {(rows: Row[]) => string} summary the chart in a sentence, for readers who cannot see it
 * @property {boolean} [legend]
 * @property {Choice} [choice] makes the values something to pick
 * @property {() => unknown} [entered] the pointer enters the chart
 */
/** @typedef {{label: string, names: (rows: Row[]) => string[], pick: Pick}} Choice a name per value */

const DAYS_PER_WEEK = 7;
const MOST_TICKS = 6;
const HOURS_PER_TICK = 3;
/** Longer names lose their middle, beside the bar and in the tooltip. */
const LONGEST_NAME = 22;
const LONGEST_LABEL = 60;

/**
 * A line over the days in `date`, oldest first; and further lines without an area.
 * @param {string} value @param {string} name @param {{value: string, name: string, colour: string}[]} others
 * @returns {Drawing}
 */
export function perDay(value, name, ...others) {
  const lines = [{ value, name, colour: "--accent" }, ...others];
  return {
    kind: "line",
    legend: lines.length > 1,
    figure: (rows) => ({
      labels: rows.map(({ date }) => fullDay(String(date)) + (date === today() ? ", so far" : "")),
      ticks: rows.map(({ date }, at) => {
        if ((rows.length - 1 - at) % daysPerTick(rows.length)) return "";
        return date === today() ? "Today" : day(String(date));
      }),
      series: lines.map(({ value, name, colour }) => ({ name, values: numbers(rows, value), colours: [colour] })),
      open: rows.at(-1)?.date === today(),
    }),
    summary: (rows) => {
      const [first, ...further] = lines.map((line) => {
        const peak = highest(rows, line.value);
        return { ...line, most: `most on ${fullDay(String(peak.date))} with ${count(number(peak[line.value]))}` };
      });
      const rest = further.map((line) => ` ${line.name}: ${line.most}.`).join("");
      return `Line, ${name} per day: ${count(sum(rows, value))} in ${rows.length} days, ${first?.most}.${rest}`;
    },
  };
}

/** A tick per day, per two days, or per so many weeks. @param {number} days */
function daysPerTick(days) {
  if (days <= MOST_TICKS) return 1;
  return days <= 2 * MOST_TICKS ? 2 : DAYS_PER_WEEK * Math.ceil(days / (MOST_TICKS * DAYS_PER_WEEK));
}

/** A column per `hour`; the highest stands out. @param {string} value @param {string} name @returns {Drawing} */
export const perHour = (value, name) => ({
  kind: "columns",
  figure: (rows) => {
    const peak = highest(rows, value);
    const colours = rows.map((row) => (row === peak ? "--accent" : "--accent-light"));
    return {
      labels: rows.map((row) => `${hour(number(row.hour))} to ${hour((amount(row, "hour") + 1) % 24)} UTC`),
      ticks: rows.map((row, at) => (at % HOURS_PER_TICK ? "" : hour(number(row.hour)).slice(0, 2))),
      series: [{ name, values: numbers(rows, value), colours }],
    };
  },
  summary: (rows) => {
    const peak = highest(rows, value);
    return `Columns, ${name} per hour of the day: most from ${hour(number(peak.hour))} UTC with ${count(number(peak[value]))}.`;
  },
});

/** @param {string} name @param {Part[]} parts @param {string[]} colours @returns {Figure} */
function figureOf(name, parts, colours) {
  const names = parts.map((part) => part.name);
  return { labels: names, ticks: names, series: [{ name, values: parts.map((part) => part.value), colours }] };
}

/** @param {string} key @param {string} value @param {string} name @param {number} limit @returns {Drawing} */
export const ring = (key, value, name, limit) => ({
  kind: "doughnut",
  legend: true,
  figure: (rows) => {
    const parts = largest(rows, key, value, limit);
    return figureOf(name, parts, parts.map((part) => (part.rest ? REST : seriesColour(part.name))));
  },
  summary: (rows) => `Ring, ${name} per ${key}: ${inWords(largest(rows, key, value, limit))}.`,
});

/** @param {string} key @param {string} value @param {string} name @param {number} limit @returns {Drawing} */
export const ranking = (key, value, name, limit) => ({
  kind: "bars",
  figure: (rows) => figureOf(name, largest(rows, key, value, limit), ["--accent"]),
  summary: (rows) => `Bars, ${name} per ${key}: ${inWords(largest(rows, key, value, limit))}.`,
});

/**
 * A bar for each of the first rows. The rest has none: the server does not send all of it. A picked row is always shown,
 * and stands out.
 * @param {string} key @param {string} value @param {string} name @param {number} limit
 * @param {{unit?: [string, string], pick?: Pick}} [more] @returns {Drawing}
 */
export function topBars(key, value, name, limit, { unit, pick } = {}) {
  /** @param {Row[]} rows */
  function shown(rows) {
    const at = pick ? rows.findIndex((row) => row[key] === pick.chosen()) : -1;
    return at < limit ? rows.slice(0, limit) : [...rows.slice(0, limit - 1), ...rows.slice(at, at + 1)];
  }
  /** @param {Row[]} rows */
  const namesOf = (rows) => shown(rows).map((row) => String(row[key]));
  const colour = (/** @type {string} */ bar) => (!pick?.chosen() || pick.chosen() === bar ? "--accent" : "--accent-light");
  return {
    kind: "bars",
    choice: pick && { label: `${name}: pick one`, pick, names: namesOf },
    figure: (rows) => {
      const names = namesOf(rows);
      return {
        labels: names.map((words) => shorten(words, LONGEST_LABEL)),
        ticks: names.map((words) => shorten(words, LONGEST_NAME)),
        longest: LONGEST_NAME,
        unit,
        series: [{ name, values: numbers(shown(rows), value), colours: names.map(colour) }],
      };
    },
    summary: (rows) => `Bars, ${name} per ${key}: ${inWords(largest(shown(rows), key, value, limit))}.`,
  };
}

/**
 * A bar for each of the first names in `key`, made of pieces per `piece`.
 * @param {string} key @param {string} piece @param {string} value @param {string} name @param {number} limit
 * @returns {Drawing}
 */
export function stackedBars(key, piece, value, name, limit) {
  /** @param {Row[]} rows */
  const namesOf = (rows) => [...new Set(rows.map((row) => String(row[key])))].slice(0, limit);
  /** @param {Row[]} rows @param {string} bar */
  const total = (rows, bar) => sum(rows.filter((row) => row[key] === bar), value);
  return {
    kind: "bars",
    legend: true,
    figure: (rows) => {
      const names = namesOf(rows);
      // In the palette's order, all without a colour together and last.
      const byColour = [...Map.groupBy(rows, (row) => seriesColour(String(row[piece])))];
      const series = byColour.sort(([a], [b]) => a.localeCompare(b)).map(([colour, group]) => ({
        name: colour === REST ? OTHERS : String(group[0]?.[piece]),
        values: names.map((bar) => total(group, bar)),
        colours: [colour],
      }));
      return { labels: names, ticks: names, series };
    },
    summary: (rows) => {
      const parts = namesOf(rows).map((bar) => ({ name: bar, value: total(rows, bar) }));
      return `Bars, ${name} per ${key}, split by ${piece}: ${inWords(parts)}.`;
    },
  };
}
