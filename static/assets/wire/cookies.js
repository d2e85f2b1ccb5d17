/** The cookies that scripts can read, each a JSON object. The session's token is not among them: it is HttpOnly. */

import { parse } from "./json.js";

/** @import { Json } from "./json.js" */

/** Their values are encoded as in a query string; a percent sign that encodes nothing stays one. */
const cookies = () => new URLSearchParams(document.cookie.replaceAll("; ", "&"));

/** @param {string} name @returns {Json} empty if there is none, or if it is not a JSON object */
export const readCookie = (name) => parse(cookies().get(name) ?? "") ?? {};

export const cookieNames = () => [...cookies().keys()];

/** @param {string} name @param {Json} value @param {number} seconds until it expires */
export function writeCookie(name, value, seconds) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const content = encodeURIComponent(JSON.stringify(value));
  document.cookie = `${name}=${content}; Max-Age=${seconds}; Path=/; SameSite=Lax${secure}`;
}

/** @param {string} name */
export const dropCookie = (name) => writeCookie(name, {}, 0);
