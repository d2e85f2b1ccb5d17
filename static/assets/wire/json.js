/**
 * Reads JSON that anybody may have written: a proxy, a server of another version, another page of this host. What a
 * response or frame brings is checked here once; beyond, it is what /openapi.json says.
 */

/** @typedef {Record<string, unknown>} Json a JSON object */

/** @param {unknown} value @returns {value is object} whether it is an object or an array, as all payloads are */
export const isPayload = (value) => typeof value === "object" && value !== null;

/** @param {unknown} value @returns {value is Json} */
const isObject = (value) => isPayload(value) && !Array.isArray(value);

/** @param {unknown} value @returns {string} */
export const text = (value) => (typeof value === "string" ? value : "");

/** @param {string} words @returns {Json | null} null for anything but a JSON object */
export function parse(words) {
  try {
    const value = JSON.parse(words);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
