// @ts-check
/** Percentages of a whole that agree with it: each to one decimal, together exactly 100.0. */

/** Of a whole. */
const TENTHS = 1_000;

/**
 * By the largest remainder: all are rounded down, and what is missing goes to those that lost most.
 * @param {number[]} values
 * @returns {(number | null)[]} of a hundred; null where there is no whole
 */
export function shares(values) {
  const whole = values.reduce((sum, value) => sum + value, 0);
  if (!whole) return values.map(() => null);
  const exact = values.map((value) => (TENTHS * value) / whole);
  const tenths = exact.map(Math.floor);
  const missing = TENTHS - tenths.reduce((sum, value) => sum + value, 0);
  const lost = (/** @type {number} */ at) => (exact[at] ?? 0) % 1;
  const order = values.map((_, at) => at).sort((a, b) => lost(b) - lost(a));
  const raised = new Set(order.slice(0, missing));
  return tenths.map((value, at) => (value + Number(raised.has(at))) / 10);
}
