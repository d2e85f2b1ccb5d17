/** The colours of theme.css, for canvases; and what the reader's system prefers. */

/** The colours that canvases draw. A variable that is registered as a colour is read as one, not as `light-dark(…)`. */
const DRAWN = [
  "surface", "line", "grid", "muted", "accent", "accent-light", "accent-soft", "tooltip", "tooltip-text",
  "series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-rest",
];
for (const name of DRAWN) CSS.registerProperty({ name: `--${name}`, syntax: "<color>", inherits: true, initialValue: "transparent" });

const styles = getComputedStyle(document.documentElement);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

/** @param {string} variable for example `--accent` @returns {string} its value in the present colour scheme */
export const cssValue = (variable) => styles.getPropertyValue(variable).trim();

export const motionReduced = () => still.matches;

/** @param {() => void} act after the colours or the wish for less motion have changed */
export function onThemeChange(act) {
  for (const query of [dark, still]) query.addEventListener("change", act);
}
