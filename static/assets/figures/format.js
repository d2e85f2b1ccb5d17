/** Formats numbers, times and durations in the language of the page; days and hours are UTC. */

const language = document.documentElement.lang;
const segmenter = "Segmenter" in Intl ? new Intl.Segmenter(language) : null;

/** UTF-16 units: more than any emoji has. Anything longer is a pile of marks on one letter. */
const LONGEST_CHARACTER = 32;

/** Stands in place of a missing number. */
export const NONE = "–";

/** @param {Intl.NumberFormatOptions} options @returns {(value: number | null) => string} */
function numeric(options) {
  const { format } = new Intl.NumberFormat(language, options);
  return (value) => (value === null ? NONE : format(value));
}

export const count = numeric({ maximumFractionDigits: 0 });
export const decimal = numeric({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
/** @type {Intl.NumberFormatOptions} */
const COMPACT = { notation: "compact", maximumFractionDigits: 1 };
export const bytes = numeric({ ...COMPACT, style: "unit", unit: "byte", unitDisplay: "narrow" });
/** As on chart axes: 12K. */
export const compact = numeric(COMPACT);
const share = numeric({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number | null} value 0 to 100 */
export const percent = (value) => share(value === null ? null : value / 100);

/** @param {number | null} part @param {number | null} total @returns {number | null} 0 to 100, to two decimals */
export const percentage = (part, total) => (part === null || !total ? null : Math.round((10_000 * part) / total) / 100);

/** In at most three units, largest first. @param {number} seconds @returns {[value: string, unit: string][]} */
export function lengthParts(seconds) {
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
  return parts.slice(first, first + 3).map(([value, unit]) => [count(value), unit]);
}

/** @param {number | null} at milliseconds; written as the time of its day, UTC */
export const clock = (at) => (at === null ? NONE : new Date(at).toISOString().slice(11, 19));

/** @param {number | null} seconds */
export const length = (seconds) =>
  seconds === null ? NONE : lengthParts(seconds).map((part) => part.join("")).join(" ");

/** @param {number | null} value 0 to 23 */
export const hour = (value) => (value === null ? NONE : `${String(value).padStart(2, "0")}:00`);

/** @param {(at: Date) => string} write @returns {(instant: string) => string} takes ISO 8601, perhaps only a UTC day */
const written = (write) => (instant) => {
  const at = new Date(instant);
  return Number.isNaN(at.getTime()) ? instant || NONE : write(at);
};

/** @param {Intl.DateTimeFormatOptions} options */
const dated = (options) => written(new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options }).format);

export const day = dated({ month: "short", day: "numeric" });
export const dayWithYear = dated({ dateStyle: "medium" });
export const fullDay = dated({ dateStyle: "full" });
export const dayAndTime = dated({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const weekday = dated({ weekday: "short" });
export const month = dated({ month: "short", year: "numeric" });
export const fullMonth = dated({ month: "long", year: "numeric" });
export const time = written((at) => at.toISOString().slice(11, 16));
/** Always of the same width, as is `toTheMillisecond`. */
export const toTheSecond = written((at) => at.toISOString().slice(0, 19).replace("T", " "));
export const toTheMillisecond = written((at) => at.toISOString().slice(0, 23).replace("T", " "));

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

/** Cuts out the middle: both ends say most about a path. @param {string} words @param {number} longest */
export function shorten(words, longest) {
  if (words.length <= longest) return words;
  const room = longest * LONGEST_CHARACTER; // of a much longer text, only the ends are read
  const all = characters(words.length > 2 * room ? words.slice(0, room) + words.slice(-room) : words);
  if (all.length <= longest) return words;
  const end = Math.floor((longest - 1) / 2);
  return `${all.slice(0, longest - 1 - end).join("")}…${all.slice(-end).join("")}`;
}

const PICTOGRAPH = String.raw`\p{Extended_Pictographic}[\p{Emoji_Modifier}\ufe0f]*`;
/** Joiners are seen in emoji, after a virama, and between Arabic letters. */
const JOINED = [
  String.raw`${PICTOGRAPH}(?:\u200d${PICTOGRAPH})*`,
  String.raw`[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca][\u200c\u200d]`,
  String.raw`\p{Script=Arabic}\u200c(?=\p{Script=Arabic})`,
].join("|");
/** What would not be seen, or would change the direction of its neighbours. */
const UNSEEN = String.raw`(?! )[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Z}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\u2800]`;
const JOINED_OR_UNSEEN = new RegExp(`(${JOINED})|${UNSEEN}`, "gu");

/** Percent-encodes what could not be seen. @param {string} text */
export const visible = (text) =>
  text.replace(JOINED_OR_UNSEEN, (character, joined) => joined ?? encodeURIComponent(character));

/**
 * A path as people read it: `/%E5%B7%A5%E5%85%B7` is `/工具`. What is not UTF-8, or could not be seen, stays encoded.
 * @param {string} path
 */
export const readable = (path) => visible(path.replace(/(?:%[89A-F][0-9A-F])+/gi, decoded));

/** @param {string} escapes */
function decoded(escapes) {
  try {
    return decodeURIComponent(escapes);
  } catch {
    return escapes;
  }
}
