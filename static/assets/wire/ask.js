/** Requests to the server over HTTP. None of these functions throws: what went wrong is in the answer. */

import { addressed } from "./access.js";
import { isPayload, parse, text } from "./json.js";

/** @import { Json } from "./json.js" */
/**
 * @template [Payload=unknown]
 * @typedef {object} Answer
 * @property {Payload} [payload]
 * @property {string} reason why there is no payload, a sentence about the server; empty if there is one
 * @property {boolean} refused whether asking again is pointless
 * @property {Json} [body] the body of an error response
 * @property {string} error what the server says is wrong; empty if it says nothing
 * @property {string[]} details the same of each fault, if it says so
 * @property {number} status 0 without a response
 * @property {number} wait seconds until the server wants to be asked again (Retry-After), or 0
 */
/** @typedef {{method: "POST" | "PUT", address: ServerAddress, body: Json}} Order a request that changes something */

/** The longest wait for a response. */
const ASK_MS = 5_000;

/**
 * A response that the browser has cached is sent again only if it has changed (ETag).
 * @template {ServerAddress} Address @param {Address} address @returns {Promise<Answer<Got<Address>>>}
 */
export const ask = (address) => answered(address, { cache: "no-cache" });

/**
 * With `keepalive` it arrives even if the page is left; but browsers send at most 64 KiB that way.
 * @template [Payload=unknown] @param {ServerAddress} address @param {Json} [body] @param {boolean} [keepalive]
 * @returns {Promise<Answer<Payload>>}
 */
export const post = (address, body, keepalive = true) => answered(address, { method: "POST", keepalive }, body);

/**
 * @template [Payload=unknown] @param {Order} order
 * @param {string} key idempotency key: the order counts once, however often it is sent
 * @returns {Promise<Answer<Payload>>}
 */
export const send = ({ method, address, body }, key) => answered(address, { method }, body, { "idempotency-key": key });

/**
 * @param {string} address @param {RequestInit} request @param {Json} [body] @param {Record<string, string>} [more]
 * @returns {Promise<Answer<any>>}
 */
async function answered(address, request, body, more) {
  const answer = { reason: "", refused: false, status: 0, wait: 0, error: "", details: [] };
  try {
    const headers = { accept: "application/json", ...(body && { "content-type": "application/json" }), ...more };
    const signal = AbortSignal.timeout(ASK_MS);
    const response = await fetch(addressed(address), { ...request, headers, body: body && JSON.stringify(body), signal });
    if (!response.ok) return await errorAnswer(response);
    const { status } = response;
    const payload = status === 204 ? {} : await response.json();
    return isPayload(payload) ? { ...answer, status, payload } : { ...answer, status, reason: "It answers with something other than numbers." };
  } catch {
    return { ...answer, reason: "It does not answer." };
  }
}

/** @param {Response} response @returns {Promise<Answer>} */
async function errorAnswer(response) {
  const { status, headers } = response;
  const refused = status >= 400 && status < 500 && status !== 429;
  const body = parse(await response.text().catch(() => "")) ?? {};
  const error = text(body.error);
  const details = Array.isArray(body.details) ? body.details.map(text).filter(Boolean) : [];
  const wait = Number(headers.get("retry-after")) || 0;
  const reason = `It answers with status ${status}${refused && error ? `: ${error}` : ""}.`;
  return { reason, refused, body, error, details, status, wait };
}
