/** The cookies that scripts can read, each a JSON object. The session's token is not among them: it is HttpOnly. */

import { parse } from "./json.js";

/** @import { Json } from "./json.js" */

/** @param {string} name @returns {Json} empty if there is none, or if it is not a JSON object */
export function readCookie(name) {
  const value = all().find((cookie) => cookie.name === name)?.value ?? "";
  try {
    return parse(decodeURIComponent(value)) ?? {};
  } catch {
    return {}; // a percent sign that encodes nothing
  }
}

/** @returns {string[]} */
export const cookieNames = () => all().map(({ name }) => name);

/** @param {string} name @param {Json} value @param {number} seconds until it expires */
export function writeCookie(name, value, seconds) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const content = encodeURIComponent(JSON.stringify(value));
  document.cookie = `${name}=${content}; Max-Age=${seconds}; Path=/; SameSite=Lax${secure}`;
}

/** @param {string} name */
export const dropCookie = (name) => writeCookie(name, {}, 0);

function all() {
  return document.cookie.split("; ").map((pair) => {
    const [name = "", ...rest] = pair.split("=");
    return { name, value: rest.join("=") };
  });
}
