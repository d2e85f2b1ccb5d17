/** Percentages with one decimal that add up to exactly 100.0. */

/** 100 % in tenths. */
const TENTHS = 1_000;

/**
 * The largest remainder method: all are rounded down, and the missing tenths go to those that lost most.
 * @param {number[]} values not all of them 0 @returns {number[]} 0 to 100
 */
export function shares(values) {
  const whole = values.reduce((sum, value) => sum + value, 0);
  const exact = values.map((value) => (TENTHS * value) / whole);
  const tenths = exact.map(Math.floor);
  const missing = TENTHS - tenths.reduce((sum, value) => sum + value, 0);
  const lost = (/** @type {number} */ at) => (exact[at] ?? 0) % 1;
  const order = values.map((_, at) => at).sort((a, b) => lost(b) - lost(a));
  const raised = new Set(order.slice(0, missing));
  return tenths.map((value, at) => (value + Number(raised.has(at))) / 10);
}
