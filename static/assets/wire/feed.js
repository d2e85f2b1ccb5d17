/**
 * Keeps the store fresh through one socket, which carries the topics on screen. While it cannot be opened, snapshots are
 * polled over HTTP and the socket is tried again. A topic that falls quiet is polled, too.
 */

import { ask } from "./ask.js";
import { openChannel } from "./channel.js";
import { isPayload, text } from "./json.js";
import { session } from "./session.js";

/** @import { Json } from "./json.js" */
/** @import { Store } from "./store.js" */
/** @typedef {{topic: string, snapshot: ServerAddress}} Source a topic, and the address of the same payload over HTTP */

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const POLL_MS = 5_000;
/** The first numbers should arrive this soon after subscribing. */
const FIRST_NUMBERS_MS = 1_000;
/** The server pushes at least every 10 s: two pushes are missing. */
const QUIET_MS = 20_000;
const UNAUTHENTICATED = 401;

export class Feed {
  #store;
  #notice;
  /** @type {Source[]} */
  #sources;
  /** Topics that have sent nothing since the last time all of them had. @type {Set<string>} */
  #awaited = new Set();
  /** @type {ReturnType<typeof openChannel> | null} */
  #channel = null;
  #failures = 0;
  #retryTimer = 0;
  #pollTimer = 0;
  #stopped = false;

  /**
   * @param {Store} store @param {Source[]} sources what is on screen
   * @param {(sentence: string) => void} notice is called when the server complains
   */
  constructor(store, sources, notice) {
    this.#store = store;
    this.#notice = notice;
    this.#sources = sources;
    this.#connect();
    window.addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.wake();
    });
  }

  get #live() {
    return this.#store.link.connection === "live";
  }

  /** @param {Source[]} sources what is on screen */
  follow(sources) {
    if (topicsOf(sources).join() === topicsOf(this.#sources).join()) return;
    this.#sources = sources;
    if (this.#live) this.#subscribe();
    else this.#expect(0);
  }

  /** Nobody may read any more. */
  stop() {
    this.#stopped = true;
    this.#channel?.close();
    window.clearTimeout(this.#retryTimer);
    window.clearTimeout(this.#pollTimer);
  }

  /** The network or the reader is back: try now instead of at the next retry. */
  wake() {
    if (this.#stopped) return;
    if (!this.#live) return this.#connect();
    this.#channel?.ping();
    this.#subscribe();
  }

  #connect() {
    if (this.#channel) return;
    window.clearTimeout(this.#retryTimer);
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
    this.#channel = null;
    if (this.#stopped) return;
    const longest = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    const wait = longest * (0.5 + Math.random() / 2);
    this.#retryTimer = window.setTimeout(() => this.#connect(), wait);
    this.#store.setLink({ retryAt: Date.now() + wait });
    if (this.#live) {
      this.#store.setLink({ connection: "connecting" });
      window.clearTimeout(this.#pollTimer);
    } else {
      this.#failures += 1;
      if (this.#failures === 1) this.#expect(0);
    }
  }

  /** A socket is live once it has answered: one that only opens and closes again is a failure. @param {Json} frame */
  #received(frame) {
    this.#failures = 0;
    if (!this.#live) this.#store.setLink({ connection: "live", reason: "" });
    if (frame.type === "update") this.#put(text(frame.topic), frame.payload);
    else if (frame.type === "error") this.#notice(text(frame.message) || text(frame.error));
  }

  /** @param {string} topic @param {unknown} payload */
  #put(topic, payload) {
    if (!isPayload(payload) || !topicsOf(this.#sources).includes(topic)) return;
    this.#store.setSnapshot(topic, payload);
    this.#awaited.delete(topic);
    if (!this.#awaited.size) this.#expect(this.#live ? QUIET_MS : POLL_MS);
  }

  /** @param {number} milliseconds until topics that stayed quiet are polled */
  #expect(milliseconds) {
    this.#awaited = new Set(topicsOf(this.#sources));
    this.#pollIn(milliseconds);
  }

  /** @param {number} milliseconds */
  #pollIn(milliseconds) {
    window.clearTimeout(this.#pollTimer);
    this.#pollTimer = window.setTimeout(() => this.#poll(), milliseconds);
  }

  async #poll() {
    const sources = this.#sources;
    const quiet = sources.filter(({ topic }) => this.#awaited.has(topic));
    const started = Date.now();
    const answers = await Promise.all(quiet.map(({ snapshot }) => ask(snapshot)));
    const refusal = answers.find(({ status }) => status === UNAUTHENTICATED);
    if (refusal) session.refuse(refusal);
    if (sources !== this.#sources || this.#stopped) return;
    quiet.forEach(({ topic }, at) => {
      const pushed = (this.#store.snapshot(topic)?.receivedAt ?? 0) >= started;
      if (!pushed) this.#put(topic, answers[at]?.payload);
    });
    if (this.#awaited.size) this.#pollIn(this.#live ? QUIET_MS : POLL_MS);
    const reason = answers.find((answer) => answer.reason)?.reason ?? "";
    if (this.#live) this.#store.setLink({ reason });
    else if (this.#failures > 0)
      this.#store.setLink({ connection: answers.some(({ payload }) => payload) ? "polling" : "offline", reason });
  }
}

/** @param {Source[]} sources */
const topicsOf = (sources) => sources.map(({ topic }) => topic);
