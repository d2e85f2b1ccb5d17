/**
 * The row of single numbers above the cards. A change is marked by colour; numbers are not animated, as the values in
 * between were never measured.
 */

import { clock, count, decimal, length, lengthParts, NONE, percent } from "../figures/format.js";
import { element, setText } from "../widgets/element.js";
import { cssValue, motionReduced } from "./theme.js";

/**
 * @template Payload what its panel shows
 * @typedef {object} Tile
 * @property {string} id
 * @property {string | ((payload: Payload) => string)} label
 * @property {"count" | "decimal" | "percent" | "seconds" | "clock"} [kind] `count` by default; a `clock` in milliseconds
 * @property {(payload: Payload) => [value: number | null, note: string]} show the number, and a smaller fact beside it
 */

const FLASH_MS = 900;
/** If numbers change all the time, they are not marked every time. */
const FLASH_PACE_MS = 4_000;

/** @template Payload @param {Tile<Payload>[]} tiles @returns {{list: HTMLElement, show: (payload: Payload) => void}} */
export function makeTiles(tiles) {
  let flashedAt = -FLASH_PACE_MS;
  const views = tiles.map((tile) => {
    const value = element("dd", { class: "tile-value" }, NONE);
    const note = element("dd", { class: "tile-note" });
    const label = element("dt", {}, typeof tile.label === "string" ? tile.label : "");
    const group = element("div", { class: "tile", "data-tile": tile.id }, label, value, note);
    return { tile, group, label, value, note };
  });
  return {
    list: element("dl", { class: "tiles" }, ...views.map(({ group }) => group)),
    show(payload) {
      const flash = !motionReduced() && performance.now() - flashedAt > FLASH_PACE_MS;
      for (const { tile, label, value, note } of views) {
        if (typeof tile.label === "function") setText(label, tile.label(payload));
        const [number, words] = tile.show(payload);
        const changed = showValue(value, tile.kind ?? "count", number);
        setText(note, words);
        if (!changed || !flash) continue;
        value.animate([{ color: cssValue("--accent") }, {}], FLASH_MS);
        flashedAt = performance.now();
      }
    },
  };
}

/**
 * @param {HTMLElement} node @param {NonNullable<Tile<unknown>["kind"]>} kind @param {number | null} value
 * @returns {boolean} whether it replaced another number
 */
function showValue(node, kind, value) {
  const before = node.dataset.value;
  const raw = value === null ? "" : String(value);
  if (before === raw) return false;
  node.dataset.value = raw;
  if (kind === "seconds" && value !== null) node.replaceChildren(...lengthNodes(value));
  else setText(node, { count, decimal, percent, seconds: length, clock }[kind](value));
  return Boolean(before);
}

/** @param {number} seconds */
function lengthNodes(seconds) {
  return lengthParts(seconds).flatMap(([value, unit], at) => [at ? ` ${value}` : value, element("span", { class: "unit" }, unit)]);
}
