/** All that the page knows of the server: the state of the connection, and the newest payload of every topic and query. */

/** @typedef {"live" | "connecting" | "polling" | "offline"} Connection */
/** @template [Payload=unknown] @typedef {{payload: Payload, receivedAt: number}} Snapshot by this browser's clock */
/**
 * @typedef {object} Link the connection to the server
 * @property {Connection} connection
 * @property {number} since when the present state began
 * @property {number} retryAt when the socket is tried again; 0 while it is open or being opened
 * @property {string} reason why the server sends no numbers, a sentence about it; empty while it does
 */

/** The age at which a snapshot is stale: three pushes missed. */
export const STALE_MS = 30_000;

/** Sends `change` when anything changed. */
export class Store extends EventTarget {
  /** @type {Link} */
  link = { connection: "connecting", since: Date.now(), retryAt: 0, reason: "" };
  /** @type {Map<string, Snapshot<any>>} */
  #snapshots = new Map();

  /** @param {Partial<Omit<Link, "since">>} patch */
  setLink(patch) {
    const isNew = patch.connection !== undefined && patch.connection !== this.link.connection;
    this.link = { ...this.link, ...patch, since: isNew ? Date.now() : this.link.since };
    this.#changed();
  }

  /** @template [Payload=unknown] @param {string} topic or query @returns {Snapshot<Payload> | undefined} */
  snapshot(topic) {
    return this.#snapshots.get(topic);
  }

  /** @param {string} topic @param {object} payload */
  setSnapshot(topic, payload) {
    this.#snapshots.set(topic, { payload, receivedAt: Date.now() });
    this.#changed();
  }

  /** @param {string} topic @param {number} moment milliseconds of this browser's clock */
  forgetOlder(topic, moment) {
    if ((this.snapshot(topic)?.receivedAt ?? moment) < moment) this.#snapshots.delete(topic);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
