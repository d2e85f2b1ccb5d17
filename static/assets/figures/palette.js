/** Each name has one colour, the same on every chart. */

const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

/** The colour of all further names. */
export const REST = "--series-rest";

/** @type {Map<string, string>} */
const taken = new Map([
  ["Desktop", "--series-1"],
  ["Mobile", "--series-2"],
  ["Tablet", "--series-3"],
]);

/** A new name gets the next free colour, and keeps it. @param {string} name @returns {string} a CSS variable */
export function seriesColour(name) {
  const known = taken.get(name);
  if (known) return known;
  const next = SERIES[taken.size] ?? REST;
  if (next !== REST) taken.set(name, next);
  return next;
}
