// @ts-check
/**
 * Keeps the store fresh: one socket for whatever is on screen; while it cannot be had, the snapshot's address
 * is polled and the socket tried on. A quiet live feed is asked over HTTP too, so that it never goes silent unnoticed.
 */

import { ask, ASK_MS } from "./ask.js";
import { openChannel } from "./channel.js";
import { isObject, text } from "./read.js";

/** @typedef {import("./store.js").Store} Store */
/**
 * @typedef {object} Source where a panel's numbers come from
 * @property {string} topic
 * @property {string} snapshot the same payload over HTTP
 */

/** `stats_update` frames, which a server sends to whoever did not subscribe, are this topic's. */
const DEFAULT_TOPIC = "logins";
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const POLL_MS = 5_000;
/** After subscribing, the first numbers should be here by then. */
const FIRST_NUMBERS_MS = 1_000;
/** The server pushes every 10 s even when nothing happens; two missed pushes are too many. */
const QUIET_MS = 20_000;

export class Feed {
  #store;
  /** @type {Source} */
  #source;
  /** @type {ReturnType<typeof openChannel> | null} */
  #channel = null;
  #live = false;
  #failures = 0;
  #retry = 0;
  #ask = 0;

  /**
   * @param {Store} store
   * @param {Source} source what is on screen
   */
  constructor(store, source) {
    this.#store = store;
    this.#source = source;
    this.#connect();
    window.addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.wake();
    });
  }

  /**
   * Another panel came on screen.
   * @param {Source} source
   */
  follow(source) {
    this.#source = source;
    if (this.#live) this.#subscribe();
    else this.#fetch();
  }

  /** The network or the reader is back: look now instead of at the next retry. */
  wake() {
    if (!this.#live) return this.#connect();
    this.#channel?.ping();
    this.#subscribe();
  }

  #connect() {
    if (this.#channel) return;
    window.clearTimeout(this.#retry);
    this.#store.setLink({ retryAt: 0 });
    this.#channel = openChannel({
      opened: () => this.#subscribe(),
      received: (frame) => this.#received(frame),
      ended: () => this.#ended(),
    });
  }

  #subscribe() {
    this.#channel?.send({ type: "subscribe", topics: [this.#source.topic] });
    this.#askIn(FIRST_NUMBERS_MS);
  }

  #ended() {
    const wasLive = this.#live;
    this.#channel = null;
    this.#live = false;
    const longest = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    const wait = longest * (0.5 + Math.random() / 2);
    this.#retry = window.setTimeout(() => this.#connect(), wait);
    this.#store.setLink({ retryAt: Date.now() + wait });
    if (wasLive) {
      this.#store.setLink({ connection: "connecting" });
      window.clearTimeout(this.#ask);
    } else {
      this.#failures += 1;
      if (this.#failures === 1) this.#fetch();
    }
  }

  /** A socket counts once it has answered: one that opens and closes again is a failure like any other. */
  #answered() {
    this.#live = true;
    this.#failures = 0;
    this.#store.setLink({ connection: "live", reason: "" });
  }

  /** @param {import("./read.js").Json} frame */
  #received(frame) {
    if (!this.#live) this.#answered();
    if (frame.type === "update") this.#put(text(frame.topic), frame.payload);
    else if (frame.type === "stats_update") this.#put(DEFAULT_TOPIC, frame.payload);
    else if (frame.type === "error") this.#store.notice(text(frame.message) || text(frame.error));
  }

  /**
   * @param {string} topic
   * @param {unknown} payload
   */
  #put(topic, payload) {
    if (!isObject(payload)) return;
    this.#store.setSnapshot(topic, payload);
    if (topic === this.#source.topic) this.#askIn(this.#live ? QUIET_MS : POLL_MS);
  }

  /** @param {number} milliseconds until the numbers are asked for over HTTP, if none came by themselves */
  #askIn(milliseconds) {
    window.clearTimeout(this.#ask);
    this.#ask = window.setTimeout(() => this.#fetch(), milliseconds);
  }

  async #fetch() {
    const source = this.#source;
    const started = Date.now();
    this.#askIn(POLL_MS + ASK_MS);
    const { payload, reason } = await ask(source.snapshot);
    if (source !== this.#source) return;
    const pushed = (this.#store.snapshot(source.topic)?.receivedAt ?? 0) >= started;
    if (payload && !pushed) this.#put(source.topic, payload);
    else this.#askIn(this.#live ? QUIET_MS : POLL_MS);
    if (this.#live) this.#store.setLink({ reason });
    else if (this.#failures > 0) this.#store.setLink({ connection: payload ? "polling" : "offline", reason });
  }
}
