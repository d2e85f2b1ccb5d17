// @ts-check
/** Asking the server over HTTP, and telling it something: once, or again and again at a pace. */

import { object, payloadOf, text } from "./read.js";

/** @import { Json } from "./read.js" */
/**
 * @typedef {object} Answer
 * @property {Json} [payload]
 * @property {string} reason why there is none, a sentence about the server; empty when there is one
 * @property {boolean} refused whether asking again would not help
 * @property {Json} [body] what came along with a refusal
 * @property {number} status 0 where there was no answer
 * @property {number} wait seconds, if the server says when to come again; else 0
 */
/** @typedef {{method: "POST" | "PUT", address: string, body: Json}} Order what is sent to the server */

/** For one answer. */
export const ASK_MS = 5_000;

/**
 * Never throws. What the browser has already is not sent again, if the server says that it still holds (ETag).
 * @param {string} address
 */
export const ask = (address) => answered(address, { cache: "no-cache" }, { accept: "application/json" });

/**
 * Never throws. Arrives even when the page is left, unless told otherwise: browsers then refuse to send more than 64 KiB.
 * @param {string} address
 * @param {Json} [body]
 * @param {boolean} [keepalive]
 */
export function tell(address, body, keepalive = true) {
  const sent = body && { "content-type": "application/json" };
  const told = { method: "POST", keepalive, ...(body && { body: JSON.stringify(body) }) };
  return answered(address, told, { accept: "application/json", ...sent });
}

/**
 * Never throws.
 * @param {Order} order
 * @param {string} key under which it counts once, however often it is sent
 */
export const send = ({ method, address, body }, key) =>
  answered(address, { method, body: JSON.stringify(body) }, { "content-type": "application/json", "idempotency-key": key });

/**
 * @param {string} address
 * @param {RequestInit} request
 * @param {Record<string, string>} headers
 * @returns {Promise<Answer>}
 */
async function answered(address, request, headers) {
  try {
    const answer = await fetch(address, { ...request, headers, signal: AbortSignal.timeout(ASK_MS) });
    if (!answer.ok) return await refusal(answer);
    const { status } = answer;
    const payload = status === 204 ? {} : payloadOf(await answer.json());
    if (!payload) return { reason: "It answers with something else than numbers.", refused: false, status, wait: 0 };
    return { payload, reason: "", refused: false, status, wait: 0 };
  } catch {
    return { reason: "It does not answer.", refused: false, status: 0, wait: 0 };
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  const { status } = answer;
  const refused = status >= 400 && status < 500 && status !== 429;
  const body = object(await answer.json().catch(() => null));
  const words = refused ? text(body.error) : "";
  const wait = Number(answer.headers.get("retry-after")) || 0;
  return { reason: `It answers with status ${status}${words && `: ${words}`}.`, refused, body, status, wait };
}

/**
 * Work that is done again and again: at a pace, and never twice at the same time.
 * @param {number} pace milliseconds
 * @param {() => Promise<void>} work
 * @returns {{soon: () => void, now: () => void}} `soon` as the pace allows, `now` as soon as it does not overlap
 */
export function atPace(pace, work) {
  let startedAt = -pace;
  let timer = 0;
  let working = false;
  /** @type {number | null} */
  let next = null;

  /** @param {number} wait */
  function plan(wait) {
    window.clearTimeout(timer);
    timer = window.setTimeout(start, Math.max(0, startedAt + wait - performance.now()));
  }

  async function start() {
    timer = 0;
    working = true;
    startedAt = performance.now();
    await work();
    working = false;
    if (next !== null) plan(next);
    next = null;
  }

  return {
    soon() {
      if (working) next ??= pace;
      else if (!timer) plan(pace);
    },
    now() {
      if (working) next = 0;
      else plan(0);
    },
  };
}
