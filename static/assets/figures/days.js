// @ts-check
/** Counts per day without gaps: a server leaves out the days on which nothing happened, a line must not. */

import { daysAfter } from "./format.js";

/** @typedef {{date: string, clicks: number}} Day */
/** @typedef {{from: string, until: string, today: string}} Span `from` and `until` are empty where they are open */

/** Days without anything before the first one, at most: a span may begin decades earlier. */
const LEAD_DAYS = 366;

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
