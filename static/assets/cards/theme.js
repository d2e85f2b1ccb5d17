/** The colours of theme.css, for canvases; and what the reader's system prefers. */

const styles = getComputedStyle(document.documentElement);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

/** @param {string} variable for example `--accent` @returns {string} its value in the present colour scheme */
export const cssValue = (variable) => styles.getPropertyValue(variable).trim();

export const motionReduced = () => still.matches;

/** @param {() => void} act after the colours or the wish for less motion have changed @param {AbortSignal} signal */
export function onThemeChange(act, signal) {
  for (const query of [dark, still]) query.addEventListener("change", act, { signal });
}
