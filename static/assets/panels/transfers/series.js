// @ts-check
/** The two topics with the statistics of the picked unit. */

import { HOLD_MS } from "../../wire/query.js";

/** @import { Store } from "../../wire/store.js" */

/**
 * @param {Store} store
 * @param {() => void} changed
 * @param {() => string} unit its id
 */
export function makeSeries(store, changed, unit) {
  let wanted = "";
  let wantedAt = 0;

  const topics = () => ["item-creation", "transfers"].map((kind) => `${kind}/${unit()}`);

  return {
    sources: () => topics().map((topic) => ({ topic, snapshot: `/statistics/${topic}` })),
    snapshots: () => topics().map((topic) => store.snapshot(topic)),
    wantedAt: () => wantedAt,
    /** @param {number} now */
    follow(now) {
      if (unit() === wanted) return;
      if (wanted) for (const topic of topics()) store.forgetOlder(topic, now); // from when this unit was picked before
      wanted = unit();
      wantedAt = now;
      window.setTimeout(changed, HOLD_MS);
    },
  };
}
