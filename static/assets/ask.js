// @ts-check
/** Asking the server over HTTP: once, or again and again at a pace. */

import { isObject, object, text } from "./read.js";

/** @typedef {import("./read.js").Json} Json */
/**
 * @typedef {object} Answer
 * @property {Json} [payload]
 * @property {string} reason why there is none, a sentence about the server; empty when there is one
 * @property {boolean} refused whether asking again would not help
 * @property {Json} [body] what came along with a refusal
 */

/** For one answer. */
export const ASK_MS = 5_000;

/**
 * Never throws. What the browser has already is not sent again, if the server says that it still holds (ETag).
 * @param {string} address
 * @returns {Promise<Answer>}
 */
export async function ask(address) {
  try {
    const answer = await fetch(address, {
      cache: "no-cache",
      headers: { accept: "application/json" },
      signal: AbortSignal.timeout(ASK_MS),
    });
    if (!answer.ok) return await refusal(answer);
    const payload = await answer.json();
    if (!isObject(payload)) return { reason: "It answers with something else than numbers.", refused: false };
    return { payload, reason: "", refused: false };
  } catch {
    return { reason: "It does not answer.", refused: false };
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  const refused = answer.status >= 400 && answer.status < 500 && answer.status !== 429;
  const body = object(await answer.json().catch(() => null));
  const words = refused ? text(body.error) : "";
  return { reason: `It answers with status ${answer.status}${words && `: ${words}`}.`, refused, body };
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
