// @ts-check
/** What the page knows: the connection, and the newest answer to everything it asks for. Nothing else keeps state of the server. */

/** @import { Json } from "./read.js" */

/** @typedef {"live" | "connecting" | "polling" | "offline"} Connection */
/**
 * @typedef {object} Snapshot
 * @property {Json} payload
 * @property {number} receivedAt milliseconds of this browser's clock
 */
/**
 * @typedef {object} Link how the server is reached
 * @property {Connection} connection
 * @property {number} since when this connection state began
 * @property {number} retryAt when the socket is tried next; 0 while it is open or being tried
 * @property {string} reason why the server gives no numbers, a sentence about it; empty while it does
 */

/** The age at which a snapshot is stale: three pushes missed. */
export const STALE_MS = 30_000;

/** Sends `change` when anything did, `notice` (detail: a sentence) when the server complained. */
export class Store extends EventTarget {
  /** @type {Link} */
  #link = { connection: "connecting", since: Date.now(), retryAt: 0, reason: "" };
  /** @type {Map<string, Snapshot>} */
  #snapshots = new Map();

  get link() {
    return this.#link;
  }

  /** @param {Partial<Omit<Link, "since">>} patch */
  setLink(patch) {
    const moved = patch.connection !== undefined && patch.connection !== this.#link.connection;
    this.#link = { ...this.#link, ...patch, since: moved ? Date.now() : this.#link.since };
    this.#changed();
  }

  /**
   * @param {string} topic
   * @returns {Snapshot | undefined}
   */
  snapshot(topic) {
    return this.#snapshots.get(topic);
  }

  /**
   * @param {string} topic
   * @param {Json} payload
   */
  setSnapshot(topic, payload) {
    this.#snapshots.set(topic, { payload, receivedAt: Date.now() });
    this.#changed();
  }

  /**
   * @param {string} topic
   * @param {number} than milliseconds of this browser's clock
   */
  forgetOlder(topic, than) {
    if ((this.snapshot(topic)?.receivedAt ?? than) < than) this.#snapshots.delete(topic);
  }

  /** @param {string} sentence */
  notice(sentence) {
    this.dispatchEvent(new CustomEvent("notice", { detail: sentence }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
