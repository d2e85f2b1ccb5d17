// @ts-check
/** Reads values from JSON. A missing number is null, and shown as a dash. */

/** @typedef {Record<string, unknown>} Json a JSON object */

/** @param {unknown} value @returns {value is Json} */
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
 * The payload of a topic or a response; an array becomes `rows`.
 * @param {unknown} value
 * @returns {Json | null} null for anything but an object or an array
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

/** @param {unknown} value @returns {number | null} */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {unknown} value @returns {string} */
export function text(value) {
  return typeof value === "string" ? value : "";
}
