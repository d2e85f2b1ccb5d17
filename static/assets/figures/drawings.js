// @ts-check
/** The drawings panels share: from a card's rows to a figure, and to the sentence that says the same. */

import { number } from "../wire/read.js";
import { today } from "./days.js";
import { count, day, hour, shorten } from "./format.js";
import { REST, seriesColour } from "./palette.js";
import { amount, highest, inWords, largest, OTHERS, sum } from "./rows.js";

/** @import { Pick, Row } from "./rows.js" */
/** @typedef {"line" | "columns" | "bars" | "doughnut"} Kind */
/**
 * @typedef {object} Series
 * @property {string} name
 * @property {(number | null)[]} values
 * @property {string[]} colours CSS variables, one per value or one for all
 */
/**
 * @typedef {object} Figure what a chart shows
 * @property {string[]} labels one per value, in full: the tooltip's title
 * @property {string[]} ticks one per value, for the axis; empty where it shall stay free
 * @property {Series[]} series
 * @property {boolean} [open] the last value of a line is of a time that is not over
 * @property {number} [longest] characters of a tick; without it LONGEST_TICK
 * @property {[string, string]} [unit] what one value is a number of, and what several are
 */
/**
 * @typedef {object} Drawing how the rows become a chart
 * @property {Kind} kind
 * @property {(rows: Row[]) => Figure} figure
 * @property {(rows: Row[]) => string} summary what the chart shows, in a sentence, for who cannot see it
 * @property {boolean} [legend]
 * @property {Choice} [choice] makes the values something to pick
 * @property {() => void} [entered] the pointer comes to it
 */
/**
 * @typedef {object} Choice
 * @property {string} label what is picked
 * @property {(rows: Row[]) => string[]} names one per value
 * @property {Pick} pick
 */

/** A tick a week, or every few of them where there are too many; a tick every three hours. */
const DAYS = 7;
const TICKS = 6;
const HOURS = 3;
/** Of a name that is cut out of its middle, beside its bar and in the tooltip. */
const LONGEST_NAME = 22;
const LONGEST_LABEL = 60;

/**
 * A line over the days in `date`, oldest first; and further lines without an area.
 * @param {string} value @param {string} name
 * @param {{value: string, name: string, colour: string}[]} others
 * @returns {Drawing}
 */
export function perDay(value, name, ...others) {
  const lines = [{ value, name, colour: "--accent" }, ...others];
  return {
    kind: "line",
    legend: lines.length > 1,
    figure: (rows) => ({
      labels: rows.map(({ date }) => day(String(date), "long") + (date === today() ? ", so far" : "")),
      ticks: rows.map(({ date }, at) => {
        if ((rows.length - 1 - at) % daysPerTick(rows.length)) return "";
        return date === today() ? "Today" : day(String(date));
      }),
      series: lines.map((line) => ({
        name: line.name,
        values: rows.map((row) => number(row[line.value])),
        colours: [line.colour],
      })),
      open: rows.at(-1)?.date === today(),
    }),
    summary: (rows) => {
      const [first, ...further] = lines.map((line) => {
        const peak = highest(rows, line.value);
        return { ...line, most: `most on ${day(String(peak.date), "long")} with ${count(number(peak[line.value]))}` };
      });
      const rest = further.map((line) => ` ${line.name}: ${line.most}.`).join("");
      return `Line, ${name} per day: ${count(sum(rows, value))} in ${rows.length} days, ${first?.most}.${rest}`;
    },
  };
}

/** @param {number} days */
const daysPerTick = (days) => (days <= TICKS ? 1 : days <= 2 * TICKS ? 2 : DAYS * Math.ceil(days / (TICKS * DAYS)));

/**
 * A column per `hour` of the day; the highest stands out.
 * @param {string} value @param {string} name
 * @returns {Drawing}
 */
export function perHour(value, name) {
  return {
    kind: "columns",
    figure: (rows) => {
      const peak = highest(rows, value);
      return {
        labels: rows.map((row) => `${hour(number(row.hour))} to ${hour((amount(row, "hour") + 1) % 24)} UTC`),
        ticks: rows.map((row, at) => (at % HOURS ? "" : hour(number(row.hour)).slice(0, 2))),
        series: [
          {
            name,
            values: rows.map((row) => number(row[value])),
            colours: rows.map((row) => (row === peak ? "--accent" : "--accent-light")),
          },
        ],
      };
    },
    summary: (rows) => {
      const peak = highest(rows, value);
      return `Columns, ${name} per hour of the day: most from ${hour(number(peak.hour))} UTC with ${count(number(peak[value]))}.`;
    },
  };
}

/**
 * A ring of the shares of the largest.
 * @param {string} key @param {string} value @param {string} name @param {number} limit
 * @returns {Drawing}
 */
export function ring(key, value, name, limit) {
  return {
    kind: "doughnut",
    legend: true,
    figure: (rows) => {
      const parts = largest(rows, key, value, limit);
      const names = parts.map((part) => part.name);
      const colours = parts.map((part) => (part.rest ? REST : seriesColour(part.name)));
      return { labels: names, ticks: names, series: [{ name, values: parts.map((part) => part.value), colours }] };
    },
    summary: (rows) => `Ring, ${name} per ${key}: ${inWords(largest(rows, key, value, limit))}.`,
  };
}

/**
 * A bar for each of the largest.
 * @param {string} key @param {string} value @param {string} name @param {number} limit
 * @returns {Drawing}
 */
export function ranking(key, value, name, limit) {
  return {
    kind: "bars",
    figure: (rows) => {
      const parts = largest(rows, key, value, limit);
      const names = parts.map((part) => part.name);
      return { labels: names, ticks: names, series: [{ name, values: parts.map((part) => part.value), colours: ["--accent"] }] };
    },
    summary: (rows) => `Bars, ${name} per ${key}: ${inWords(largest(rows, key, value, limit))}.`,
  };
}

/**
 * A bar for each of the first, and none for the others: of what the rows already leave out, the rest has no sum. Where
 * one can be picked, it is among them, and the others step back.
 * @param {string} key @param {string} value @param {string} name @param {number} limit
 * @param {{unit?: [string, string], pick?: Pick}} [more]
 * @returns {Drawing}
 */
export function first(key, value, name, limit, { unit, pick } = {}) {
  /** @param {Row[]} rows */
  function firstRows(rows) {
    const at = pick ? rows.findIndex((row) => row[key] === pick.chosen()) : -1;
    return at < limit ? rows.slice(0, limit) : [...rows.slice(0, limit - 1), ...rows.slice(at, at + 1)];
  }
  const colour = (/** @type {string} */ own) => (!pick?.chosen() || pick.chosen() === own ? "--accent" : "--accent-light");
  return {
    kind: "bars",
    ...(pick && { choice: { label: `${name}: pick one`, pick, names: (rows) => firstRows(rows).map((row) => String(row[key])) } }),
    figure: (rows) => {
      const shown = firstRows(rows);
      const names = shown.map((row) => String(row[key]));
      return {
        labels: names.map((words) => shorten(words, LONGEST_LABEL)),
        ticks: names.map((words) => shorten(words, LONGEST_NAME)),
        longest: LONGEST_NAME,
        unit,
        series: [{ name, values: shown.map((row) => number(row[value])), colours: names.map(colour) }],
      };
    },
    summary: (rows) => {
      const parts = firstRows(rows).map((row) => ({ name: String(row[key]), value: amount(row, value) }));
      return `Bars, ${name} per ${key}: ${inWords(parts)}.`;
    },
  };
}

/**
 * A bar for each of the first of `key`, made of pieces per `piece`.
 * @param {string} key @param {string} piece @param {string} value @param {string} name @param {number} limit
 * @returns {Drawing}
 */
export function stacked(key, piece, value, name, limit) {
  /** @param {Row[]} rows */
  const firstNames = (rows) => [...new Set(rows.map((row) => String(row[key])))].slice(0, limit);
  return {
    kind: "bars",
    legend: true,
    figure: (rows) => {
      const names = firstNames(rows);
      const series = byColour(rows, piece).map(({ label, colour, held }) => ({
        name: label,
        values: names.map((own) => sum(held.filter((row) => row[key] === own), value)),
        colours: [colour],
      }));
      return { labels: names, ticks: names, series };
    },
    summary: (rows) => {
      const parts = firstNames(rows).map((own) => ({ name: own, value: sum(rows.filter((row) => row[key] === own), value) }));
      return `Bars, ${name} per ${key}, split by ${piece}: ${inWords(parts)}.`;
    },
  };
}

/**
 * @param {Row[]} rows
 * @param {string} piece
 * @returns {{label: string, colour: string, held: Row[]}[]} in the palette's order, those without a colour together and last
 */
function byColour(rows, piece) {
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const colour = seriesColour(String(row[piece]));
    const group = groups.get(colour);
    if (group) group.push(row);
    else groups.set(colour, [row]);
  }
  return [...groups]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([colour, held]) => ({ label: colour === REST ? OTHERS : String(held[0]?.[piece]), colour, held }));
}
