// @ts-check
/** The cookies that scripts can read, each a JSON object. The session's token is not among them: it is HttpOnly. */

import { isObject } from "./read.js";

/** @import { Json } from "./read.js" */

/**
 * @param {string} name
 * @returns {Json | null} null if there is none, or if it is not a JSON object
 */
export function readCookie(name) {
  try {
    const value = JSON.parse(decodeURIComponent(all().find((cookie) => cookie.name === name)?.value ?? ""));
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
 * @param {number} seconds until it expires
 */
export function writeCookie(name, value, seconds) {
  set(name, encodeURIComponent(JSON.stringify(value)), seconds);
}

/** @param {string} name */
export function dropCookie(name) {
  set(name, "", 0);
}

/** @param {string} name @param {string} value @param {number} seconds */
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
