/** Each name has one colour, the same on every chart. */

/** The variables `--series-1` to `--series-6` of theme.css. */
const COLOURS = 6;
/** The colour of all further names. */
export const REST = "--series-rest";
/** Names in the order of their colours. */
const names = ["Desktop", "Mobile", "Tablet"];

/** A new name gets the next free colour, and keeps it. @param {string} name @returns {string} a CSS variable */
export function seriesColour(name) {
  if (!names.includes(name) && names.length < COLOURS) names.push(name);
  return names.includes(name) ? `--series-${names.indexOf(name) + 1}` : REST;
}
