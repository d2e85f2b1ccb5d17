/** UTC days as YYYY-MM-DD, and counts per day without gaps: the server leaves out days without events, a line must not. */

/** @typedef {{date: string, count: number}} Day */

/** The first day that can be picked. */
export const FIRST_DAY = "1970-01-01";

/** The most empty days drawn before the first click: a span may begin decades earlier. */
const LEAD_DAYS = 366;

/** Today, by this browser's clock. */
export const today = () => new Date().toISOString().slice(0, 10);

/** @param {string} date YYYY-MM-DD @param {number} days @returns {string} the date so many days later */
export function daysAfter(date, days) {
  const at = new Date(`${date}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + days);
  return at.toISOString().slice(0, 10);
}

/** @param {string} text @returns {boolean} whether it is a date from FIRST_DAY to the end of 2099, as YYYY-MM-DD */
export const isDay = (text) =>
  /^(19[7-9]\d|20\d\d)-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && daysAfter(text, 0) === text;

/**
 * The days of the span, without gaps. If `from` is open it begins with the first day, if `until` is open it ends today. A
 * single day gets an empty one on each side: a lone point draws no line.
 * @param {Day[]} counted oldest first
 * @param {{from: string, until: string, today: string}} span `from` and `until` may be empty: open
 * @returns {Day[]}
 */
export function everyDay(counted, { from, until, today }) {
  const [oldest, newest] = [counted[0]?.date, counted.at(-1)?.date];
  if (!oldest || !newest) return [];
  const begins = earlier(oldest, from ? later(from, daysAfter(oldest, -LEAD_DAYS)) : oldest);
  const ends = later(newest, until ? earlier(until, today) : today);
  const margin = begins === ends ? 1 : 0;
  const last = daysAfter(ends, margin);
  const counts = new Map(counted.map(({ date, count }) => [date, count]));
  const days = [];
  for (let date = daysAfter(begins, -margin); date <= last; date = daysAfter(date, 1)) days.push({ date, count: counts.get(date) ?? 0 });
  return days;
}

const earlier = (/** @type {string} */ a, /** @type {string} */ b) => (a < b ? a : b);
const later = (/** @type {string} */ a, /** @type {string} */ b) => (a > b ? a : b);
