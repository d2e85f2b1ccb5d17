// @ts-check
/** UTC days as YYYY-MM-DD, and counts per day without gaps: the server leaves out days without events, a line must not. */

/** @typedef {{date: string, clicks: number}} Day */
/** @typedef {{from: string, until: string, today: string}} Span `from` and `until` are empty where they are open */

/** The first day that can be picked. */
export const FIRST_DAY = "1970-01-01";

/** Days without anything before the first one, at most: a span may begin decades earlier. */
const LEAD_DAYS = 366;

/** By the clock of this browser. */
export const today = () => new Date().toISOString().slice(0, 10);

/**
 * @param {string} date YYYY-MM-DD
 * @param {number} days
 * @returns {string} the date so many days later
 */
export function daysAfter(date, days) {
  const at = new Date(`${date}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + days);
  return at.toISOString().slice(0, 10);
}

/**
 * @param {string} text
 * @returns {boolean} whether it is a date from FIRST_DAY to the end of 2099, as YYYY-MM-DD
 */
export const isDay = (text) =>
  /^(19[7-9]\d|20\d\d)-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && daysAfter(text, 0) === text;

/**
 * From the beginning of the span, or else from the first day, until its end or today. Where that is a single day, it has
 * an empty one on both sides: a point alone is no line.
 * @param {Day[]} counted oldest first
 * @param {Span} span
 * @returns {Day[]}
 */
export function everyDay(counted, { from, until, today }) {
  const [oldest, newest] = [counted[0]?.date, counted.at(-1)?.date];
  if (!oldest || !newest) return [];
  const begins = earlier(oldest, from ? later(from, daysAfter(oldest, -LEAD_DAYS)) : oldest);
  const ends = later(newest, until ? earlier(until, today) : today);
  const aside = begins === ends ? 1 : 0;
  const last = daysAfter(ends, aside);
  const found = new Map(counted.map(({ date, clicks }) => [date, clicks]));
  const days = [];
  for (let date = daysAfter(begins, -aside); date <= last; date = daysAfter(date, 1)) days.push({ date, clicks: found.get(date) ?? 0 });
  return days;
}

const earlier = (/** @type {string} */ one, /** @type {string} */ other) => (one < other ? one : other);
const later = (/** @type {string} */ one, /** @type {string} */ other) => (one > other ? one : other);
