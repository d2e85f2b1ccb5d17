// @ts-check
/** One colour per name, the same on every chart. */

const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

/** For everything that has no colour of its own. */
export const REST = "--series-rest";

/** @type {Map<string, string>} */
const taken = new Map([
  ["Desktop", "--series-1"],
  ["Mobile", "--series-2"],
  ["Tablet", "--series-3"],
]);

/**
 * Names not seen before get the next free colour, and keep it.
 * @param {string} name
 * @returns {string} a CSS variable
 */
export function seriesColour(name) {
  const known = taken.get(name);
  if (known) return known;
  const next = SERIES[taken.size] ?? REST;
  if (next !== REST) taken.set(name, next);
  return next;
}
