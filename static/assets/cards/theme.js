// @ts-check
/** The colours of theme.css, for canvases; and what the reader's system asks for. */

/** @type {Map<string, string>} */
const known = new Map();
const styles = getComputedStyle(document.documentElement);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @param {string} variable for example `--accent`
 * @returns {string} its value in the colour scheme of this moment
 */
export function cssValue(variable) {
  const value = known.get(variable) ?? styles.getPropertyValue(variable).trim();
  known.set(variable, value);
  return value;
}

dark.addEventListener("change", () => known.clear());

/** Whether the reader asked for less motion. */
export function motionReduced() {
  return still.matches;
}

/** @param {() => void} act when the colour scheme or the wish for less motion changes */
export function onThemeChange(act) {
  dark.addEventListener("change", act);
  still.addEventListener("change", act);
}
