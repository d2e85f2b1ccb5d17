// @ts-check
/** Cookies that the page itself may read, each a JSON object. The session's token is not among them: it is HttpOnly. */

import { isObject } from "./read.js";

/** @import { Json } from "./read.js" */

/**
 * @param {string} name
 * @returns {Json | null} null where there is none, or none that can be read
 */
export function readCookie(name) {
  const found = all().find((cookie) => cookie.name === name);
  try {
    const value = JSON.parse(decodeURIComponent(found?.value ?? ""));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** @returns {string[]} */
export const cookieNames = () => all().map(({ name }) => name);

/**
 * @param {string} name
 * @param {Json} value
 * @param {number} seconds that it is kept
 */
export function writeCookie(name, value, seconds) {
  set(name, encodeURIComponent(JSON.stringify(value)), seconds);
}

/** @param {string} name */
export function dropCookie(name) {
  set(name, "", 0);
}

/**
 * @param {string} name
 * @param {string} value
 * @param {number} seconds
 */
function set(name, value, seconds) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; Max-Age=${seconds}; Path=/; SameSite=Lax${secure}`;
}

function all() {
  return document.cookie.split("; ").map((pair) => {
    const [name = "", ...rest] = pair.split("=");
    return { name, value: rest.join("=") };
  });
}
