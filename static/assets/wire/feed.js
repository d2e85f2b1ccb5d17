// @ts-check
/**
 * Keeps the store fresh: one socket for whatever is on screen; while it cannot be had, the addresses of the snapshots
 * are polled and the socket tried on. A quiet topic is asked over HTTP too, so that none goes silent unnoticed.
 */

import { ask, ASK_MS } from "./ask.js";
import { openChannel } from "./channel.js";
import { payloadOf, text } from "./read.js";

/** @import { Json } from "./read.js" */
/** @import { Store } from "./store.js" */
/**
 * @typedef {object} Source where numbers of a panel come from
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
  /** @type {Source[]} */
  #sources;
  /** The topics not heard of since the last time all of them were. @type {Set<string>} */
  #awaited = new Set();
  /** @type {ReturnType<typeof openChannel> | null} */
  #channel = null;
  #live = false;
  #failures = 0;
  #retry = 0;
  #ask = 0;

  /**
   * @param {Store} store
   * @param {Source[]} sources what is on screen
   */
  constructor(store, sources) {
    this.#store = store;
    this.#sources = sources;
    this.#connect();
    window.addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.wake();
    });
  }

  /** @param {Source[]} sources what is on screen now */
  follow(sources) {
    if (topicsOf(sources).join() === topicsOf(this.#sources).join()) return;
    this.#sources = sources;
    if (this.#live) this.#subscribe();
    else this.#expect(0);
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
    this.#channel?.send({ type: "subscribe", topics: topicsOf(this.#sources) });
    this.#expect(FIRST_NUMBERS_MS);
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
      if (this.#failures === 1) this.#expect(0);
    }
  }

  /** A socket counts once it has answered: one that opens and closes again is a failure like any other. */
  #answered() {
    this.#live = true;
    this.#failures = 0;
    this.#store.setLink({ connection: "live", reason: "" });
  }

  /** @param {Json} frame */
  #received(frame) {
    if (!this.#live) this.#answered();
    if (frame.type === "update") this.#put(text(frame.topic), frame.payload);
    else if (frame.type === "stats_update") this.#put(DEFAULT_TOPIC, frame.payload);
    else if (frame.type === "error") this.#store.notice(text(frame.message) || text(frame.error));
  }

  /**
   * @param {string} topic
   * @param {unknown} said
   */
  #put(topic, said) {
    const payload = payloadOf(said);
    if (!payload || !topicsOf(this.#sources).includes(topic)) return;
    this.#store.setSnapshot(topic, payload);
    this.#awaited.delete(topic);
    if (!this.#awaited.size) this.#expect(this.#live ? QUIET_MS : POLL_MS);
  }

  /** @param {number} milliseconds until the topics that were not heard of are asked for over HTTP */
  #expect(milliseconds) {
    this.#awaited = new Set(topicsOf(this.#sources));
    this.#askIn(milliseconds);
  }

  /** @param {number} milliseconds */
  #askIn(milliseconds) {
    window.clearTimeout(this.#ask);
    this.#ask = window.setTimeout(() => this.#fetch(), milliseconds);
  }

  async #fetch() {
    const sources = this.#sources;
    const asked = sources.filter(({ topic }) => this.#awaited.has(topic));
    const started = Date.now();
    this.#askIn(POLL_MS + ASK_MS);
    const answers = await Promise.all(asked.map(({ snapshot }) => ask(snapshot)));
    if (sources !== this.#sources) return;
    asked.forEach(({ topic }, at) => {
      const pushed = (this.#store.snapshot(topic)?.receivedAt ?? 0) >= started;
      if (!pushed) this.#put(topic, answers[at]?.payload);
    });
    if (this.#awaited.size) this.#askIn(this.#live ? QUIET_MS : POLL_MS);
    const reason = answers.find((answer) => answer.reason)?.reason ?? "";
    if (this.#live) this.#store.setLink({ reason });
    else if (this.#failures > 0)
      this.#store.setLink({ connection: answers.some(({ payload }) => payload) ? "polling" : "offline", reason });
  }
}

/** @param {Source[]} sources */
const topicsOf = (sources) => sources.map(({ topic }) => topic);
