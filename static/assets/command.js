// @ts-check
/** An operation as a command for a shell, with the examples of the document in it. */

import { list, object, text } from "./wire/read.js";

/** @typedef {import("./wire/read.js").Json} Json */

const JSON_TYPE = "application/json";
/** curl keeps what comes back until there is more of it, unless it is told not to. */
const STREAM = "text/event-stream";

/**
 * @param {string} path with {names} in it
 * @param {string} method
 * @param {Json} told the operation
 * @returns {string}
 */
export function command(path, method, told) {
  const body = example(object(object(object(told.requestBody).content)[JSON_TYPE]));
  const implied = body === undefined ? "get" : "post";
  const verb = method === implied ? [] : ["-X", method.toUpperCase()];
  const sent = body === undefined ? [] : ["-H", quoted(`Content-Type: ${JSON_TYPE}`), "-d", quoted(JSON.stringify(body))];
  const streamed = STREAM in object(object(object(told.responses)[200]).content) ? ["-N"] : [];
  return ["curl", ...streamed, ...verb, quoted(location.origin + filled(path, list(told.parameters))), ...sent].join(" ");
}

/** @param {Json} media */
function example(media) {
  return Object.values(object(media.examples)).map((one) => object(one).value)[0];
}

/**
 * @param {string} path
 * @param {Json[]} parameters of which only those are given that must be
 */
function filled(path, parameters) {
  const query = new URLSearchParams();
  let address = path;
  for (const one of parameters.filter(({ required }) => required === true)) {
    const value = String(one.example ?? `{${one.name}}`);
    if (one.in === "path") address = address.replace(`{${one.name}}`, value);
    if (one.in === "query") query.set(text(one.name), value);
  }
  return query.size ? `${address}?${query}` : address;
}

/** @param {string} words */
function quoted(words) {
  return `'${words.replaceAll("'", "'\\''")}'`;
}
