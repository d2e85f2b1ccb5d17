/**
 * Numbers that depend on what the reader picked, beside those of a topic. They are requested at once when something else
 * is picked, and again, at a pace, after every frame of the topic. Answers that come too late are dropped.
 */

import { atPace } from "./pace.js";
import { STALE_MS } from "./store.js";

/** @import { Link, Snapshot, Store } from "./store.js" */
/** @template Payload @typedef {{payload?: Payload, reason: string, refused: boolean}} Result */
/** @template Payload @typedef {Payload & {of: string}} Kept an answer, and the key that it answers */
/**
 * @template Payload
 * @typedef {object} Question
 * @property {string} name under which the store keeps the answer
 * @property {() => string} key all that the answer depends on, and its `of`; nothing is asked while it is empty
 * @property {(key: string, kept: Kept<Payload> | undefined) => Promise<Result<Payload>>} run `kept` is the previous answer
 */

/** Each answer costs the server a query: one a second is live enough. */
const PACE_MS = 1_000;
/** So long the previous numbers stay: the answer usually comes sooner, and an empty panel in between would flicker. */
export const HOLD_MS = 200;
const SUCCESS = { reason: "", refused: false };

/** @template {object} Payload */
export class Query {
  #store;
  #changed;
  #question;
  #request;
  #wanted = "";
  #wantedAt = 0;
  /** Why there is no answer; the reason is empty if there is one. @type {Result<Payload>} */
  failure = SUCCESS;
  /** @type {unknown} */
  #frame;

  /** @param {Store} store @param {() => void} changed @param {Question<Payload>} question */
  constructor(store, changed, question) {
    this.#store = store;
    this.#changed = changed;
    this.#question = question;
    this.#request = atPace(PACE_MS, () => this.#run());
  }

  async #run() {
    const { name, key, run } = this.#question;
    const of = key();
    if (!of) return;
    const result = await run(of, this.kept?.payload);
    if (of !== key()) return; // the next request is on its way
    this.failure = result;
    if (result.payload) this.#store.setSnapshot(name, { ...result.payload, of });
    else this.#changed();
  }

  now() {
    this.#request.now();
  }

  /** The panel comes on screen. */
  enter() {
    if (this.#store.link.connection === "live") this.#store.forgetOlder(this.#question.name, Date.now() - STALE_MS);
    this.#wanted = "";
  }

  /** Leaves nothing of any answer. */
  forget() {
    this.#store.forgetOlder(this.#question.name, Infinity);
    this.#wanted = "";
    this.failure = SUCCESS;
    this.#frame = undefined;
  }

  /**
   * Asks if something else is picked, or if the topic brought something new.
   * @param {Snapshot | undefined} topic @param {number} now @returns {boolean} whether something else is picked
   */
  follow(topic, now) {
    const key = this.#question.key();
    const turned = key !== this.#wanted;
    if (turned) {
      this.#wanted = key;
      this.#wantedAt = now;
      this.failure = SUCCESS;
      this.#request.now();
      window.setTimeout(this.#changed, HOLD_MS);
    } else if (topic && topic.payload !== this.#frame) this.#request.soon();
    this.#frame = topic?.payload;
    return turned;
  }

  /** The newest answer, perhaps to what was picked before. @returns {Snapshot<Kept<Payload>> | undefined} */
  get kept() {
    return this.#store.snapshot(this.#question.name);
  }

  get isCurrent() {
    return this.kept?.payload.of === this.#wanted;
  }

  /** To show: for a moment, the previous answer. @param {number} now @returns {Snapshot<Kept<Payload>> | undefined} */
  held(now) {
    return this.#wanted && (this.isCurrent || now - this.#wantedAt < HOLD_MS) ? this.kept : undefined;
  }

  /** @param {Link} link @returns {Link} with the state of these numbers, for a panel that shows nothing without them */
  waiting(link) {
    const since = this.failure.refused ? 0 : Math.max(link.since, this.#wantedAt);
    return { ...link, since, reason: link.reason || this.failure.reason };
  }
}

/**
 * A value that stays the same object while its parts stay the same, so that nothing is drawn twice.
 * @returns {<Value>(parts: unknown[], make: () => Value) => Value}
 */
export function makeMemo() {
  /** @type {unknown[] | undefined} */
  let known;
  /** @type {any} */
  let value;
  return (parts, make) => {
    if (parts.some((part, at) => !known || part !== known[at])) value = make();
    known = parts;
    return value;
  };
}
