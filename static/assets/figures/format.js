/** Formats numbers, times and durations in the language of the page; days and hours are UTC. */

const language = document.documentElement.lang;
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
const share = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const size = new Intl.NumberFormat(language, { notation: "compact", style: "unit", unit: "byte", unitDisplay: "narrow", maximumFractionDigits: 1 });
const dayShort = new Intl.DateTimeFormat(language, { timeZone: "UTC", month: "short", day: "numeric" });
const dayMedium = new Intl.DateTimeFormat(language, { timeZone: "UTC", dateStyle: "medium" });
const dayLong = new Intl.DateTimeFormat(language, { timeZone: "UTC", dateStyle: "full" });
const dayMinute = new Intl.DateTimeFormat(language, {
  timeZone: "UTC",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const monthShort = new Intl.DateTimeFormat(language, { timeZone: "UTC", month: "short", year: "numeric" });
const monthLong = new Intl.DateTimeFormat(language, { timeZone: "UTC", month: "long", year: "numeric" });
const dayName = new Intl.DateTimeFormat(language, { timeZone: "UTC", weekday: "short" });
const segmenter = "Segmenter" in Intl ? new Intl.Segmenter(language) : null;

/** UTF-16 units: more than any emoji has. Anything longer is a pile of marks on one letter. */
const LONGEST_CHARACTER = 32;

/** Stands in place of a missing number. */
export const NONE = "–";

/** @param {number | null} value */
export const count = (value) => (value === null ? NONE : whole.format(value));

/** @param {number | null} value */
export const decimal = (value) => (value === null ? NONE : tenths.format(value));

/** @param {number | null} value */
export const bytes = (value) => (value === null ? NONE : size.format(value));

/** @param {number} value written as on chart axes: 12K */
export const compact = (value) => short.format(value);

/** @param {number | null} value 0 to 100 */
export const percent = (value) => (value === null ? NONE : share.format(value / 100));

/** @param {number | null} part @param {number | null} total @returns {number | null} 0 to 100, to two decimals */
export const percentage = (part, total) => (part === null || !total ? null : Math.round((10_000 * part) / total) / 100);

/**
 * A duration in at most three units.
 * @param {number | null} seconds @returns {[string, string][]} value and unit, largest first
 */
export function lengthParts(seconds) {
  if (seconds === null) return [];
  if (seconds > 0 && seconds < 1) return [["<1", "s"]];
  const rounded = Math.round(seconds);
  /** @type {[number, string][]} */
  const parts = [
    [Math.floor(rounded / 86_400), "d"],
    [Math.floor(rounded / 3_600) % 24, "h"],
    [Math.floor(rounded / 60) % 60, "m"],
    [rounded % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return [["0", "s"]];
  return parts.slice(first, first + 3).map(([value, unit]) => [whole.format(value), unit]);
}

/** @param {number | null} at milliseconds; written as the time of its day, UTC */
export const clock = (at) => (at === null ? NONE : new Date(at).toISOString().slice(11, 19));

/** @param {number | null} seconds */
export const length = (seconds) =>
  seconds === null ? NONE : lengthParts(seconds).map((part) => part.join("")).join(" ");

/** @param {number | null} value 0 to 23 */
export const hour = (value) => (value === null ? NONE : `${String(value).padStart(2, "0")}:00`);

/**
 * @param {string} date YYYY-MM-DD, a UTC day
 * @param {"short" | "medium" | "long"} [style] medium has the year, long the weekday too
 */
export function day(date, style = "short") {
  const at = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(at.getTime())) return date || NONE;
  return { short: dayShort, medium: dayMedium, long: dayLong }[style].format(at);
}

/** @param {string} instant @param {(at: Date) => string} write */
function written(instant, write) {
  const at = new Date(instant);
  return Number.isNaN(at.getTime()) ? instant || NONE : write(at);
}

/** @param {string} instant ISO 8601; all of these write UTC */
export const time = (instant) => written(instant, (at) => at.toISOString().slice(11, 16));

/** @param {string} instant */
export const weekday = (instant) => written(instant, (at) => dayName.format(at));

/** @param {string} instant to the minute */
export const dayAndTime = (instant) => written(instant, (at) => dayMinute.format(at));

/** @param {string} instant to the second, always the same width */
export const toTheSecond = (instant) => written(instant, (at) => at.toISOString().slice(0, 19).replace("T", " "));

/** @param {string} instant */
export const toTheMillisecond = (instant) => written(instant, (at) => at.toISOString().slice(0, 23).replace("T", " "));

/** @param {string} instant @param {"short" | "long"} [style] */
export const monthOf = (instant, style = "short") =>
  written(instant, (at) => (style === "long" ? monthLong : monthShort).format(at));

/** A duration in one unit. @param {number} seconds */
export function about(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h`;
}

/** @param {number} milliseconds since something happened */
export function ago(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return seconds < 2 ? "just now" : `${about(seconds)} ago`;
}

/** @param {string} words @returns {string[]} characters as a reader sees them; in old browsers, code points */
function characters(words) {
  if (!segmenter) return [...words];
  const segments = Array.from(segmenter.segment(words), ({ segment }) => segment);
  return segments.flatMap((character) => (character.length > LONGEST_CHARACTER ? [...character] : [character]));
}

/** Cuts off the end. @param {string} words @param {number} longest */
export function cut(words, longest) {
  if (words.length <= longest) return words;
  const all = characters(words.slice(0, 2 * longest * LONGEST_CHARACTER));
  return all.length > longest ? `${all.slice(0, longest - 1).join("")}…` : words;
}

/**
 * Cuts out the middle: the beginning and the end say most about a path.
 * @param {string} words @param {number} longest
 */
export function shorten(words, longest) {
  if (words.length <= longest) return words;
  const room = longest * LONGEST_CHARACTER; // of a much longer text, only the ends are read
  const all = characters(words.length > 2 * room ? words.slice(0, room) + words.slice(-room) : words);
  if (all.length <= longest) return words;
  const end = Math.floor((longest - 1) / 2);
  return `${all.slice(0, longest - 1 - end).join("")}…${all.slice(-end).join("")}`;
}
