// @ts-check
/** Reading what came over the wire. A number that is not there is null, and is shown as a dash. */

/** @typedef {Record<string, unknown>} Json an object out of a frame */

/**
 * @param {unknown} value
 * @returns {value is Json}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {Json} the object, or an empty one
 */
export function object(value) {
  return isObject(value) ? value : {};
}

/**
 * What a topic or an address says; a list stands in `rows`.
 * @param {unknown} value
 * @returns {Json | null} null for what has no names in it
 */
export function payloadOf(value) {
  if (Array.isArray(value)) return { rows: value };
  return isObject(value) ? value : null;
}

/**
 * @param {unknown} value
 * @returns {Json[]} the objects of an array, or none
 */
export function list(value) {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/**
 * @param {unknown} value
 * @returns {number | null}
 */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string}
 */
export function text(value) {
  return typeof value === "string" ? value : "";
}
