// @ts-check
/**
 * Numbers beside those of a topic, for what the reader picked: asked for at once when something else is picked, and after
 * every frame of the topic at a pace. Answers to what is not picked any more are dropped.
 */

import { ask, atPace } from "./ask.js";
import { STALE_MS } from "./store.js";

/** @import { Json } from "./read.js" */
/** @import { Link, Snapshot, Store } from "./store.js" */
/** @typedef {{payload?: Json, reason: string, refused: boolean}} Found */
/**
 * @typedef {object} Wish
 * @property {string} name under which the store keeps the answer
 * @property {number} pace milliseconds: every asking costs the server a query
 * @property {() => string} picked all that the answer depends on; it comes back in the payload as `of`
 * @property {(kept: Json | undefined) => Promise<Found>} find given the answer before
 */

/** An answer usually comes sooner: to go blank in between would flicker. */
export const HOLD_MS = 200;
const WELL = { reason: "", refused: false };

/**
 * @param {Store} store
 * @param {() => void} changed
 * @param {Wish} wish
 */
export function makeFetched(store, changed, { name, pace, picked, find }) {
  let wanted = "";
  let wantedAt = 0;
  /** @type {Found} */
  let last = WELL;
  /** @type {Json | undefined} */
  let frame;

  const refresh = atPace(pace, async () => {
    const of = picked();
    const found = await find(store.snapshot(name)?.payload);
    if (of !== picked()) return; // the next one is asked for already
    last = found;
    if (found.payload) store.setSnapshot(name, { ...found.payload, of });
    else changed();
  });

  return {
    /** Ask at once. */
    now: refresh.now,

    /** The panel comes on screen. */
    enter() {
      if (store.link.connection === "live") store.forgetOlder(name, Date.now() - STALE_MS);
      wanted = "";
    },

    /** Leaves nothing of any answer. */
    forget() {
      store.forgetOlder(name, Infinity);
      wanted = "";
      last = WELL;
      frame = undefined;
    },

    /**
     * Asks where the reader picked something else, or the topic brought something new.
     * @param {Snapshot | undefined} topic
     * @param {number} now
     * @returns {boolean} whether something else was picked
     */
    follow(topic, now) {
      const turned = picked() !== wanted;
      if (turned) {
        wanted = picked();
        wantedAt = now;
        last = WELL;
        refresh.now();
        window.setTimeout(changed, HOLD_MS);
      } else if (topic && topic.payload !== frame) refresh.soon();
      frame = topic?.payload;
      return turned;
    },

    /** @returns {Snapshot | undefined} the newest answer, be it to what is picked or to what was */
    kept: () => store.snapshot(name),

    /** Whether the newest answer is to what is picked. */
    isCurrent: () => store.snapshot(name)?.payload.of === wanted,

    /**
     * Whether the newest answer may stand there: to what was picked before, for a moment.
     * @param {number} now
     */
    isFit: (now) => store.snapshot(name)?.payload.of === wanted || now - wantedAt < HOLD_MS,

    /** Why there is no answer; the reason is empty while there is. */
    failure: () => last,

    /**
     * @param {Link} link
     * @returns {Link} as it is to who waits for these numbers, too
     */
    waiting: (link) => ({
      ...link,
      since: last.refused ? 0 : Math.max(link.since, wantedAt),
      reason: link.reason || last.reason,
    }),
  };
}

/**
 * The answer of an address that the reader's choice makes; of none while it is empty. One a second is live enough.
 * @param {Store} store
 * @param {() => void} changed
 * @param {string} name
 * @param {() => string} address
 */
export function makeAnswer(store, changed, name, address) {
  const find = async () => (address() ? ask(address()) : WELL);
  const made = makeFetched(store, changed, { name, pace: 1_000, picked: address, find });
  /** @param {number} now */
  const held = (now) => (address() && made.isFit(now) ? made.kept() : undefined);
  return { ...made, held };
}

/**
 * The same object as long as the parts are the same, so that nothing is drawn twice.
 * @template {unknown[]} Parts
 * @param {(...parts: Parts) => Json} make
 * @returns {(...parts: Parts) => Json}
 */
export function composed(make) {
  /** @type {Parts | undefined} */
  let parts;
  /** @type {Json} */
  let payload = {};
  return (...now) => {
    if (parts?.every((part, at) => part === now[at])) return payload;
    parts = now;
    payload = make(...now);
    return payload;
  };
}
