/** The two topics with the statistics of the picked unit. */

import { HOLD_MS } from "../../wire/query.js";

/** @import { Unit } from "../../figures/units.js" */
/** @import { Source } from "../../wire/feed.js" */
/** @import { Snapshot, Store } from "../../wire/store.js" */

/** @param {Store} store @param {() => void} changed @param {() => Unit} unit */
export function makeSeries(store, changed, unit) {
  /** @type {Unit | undefined} */
  let wanted;
  let wantedAt = 0;

  /** @returns {Source[]} */
  const sources = () => [
    { topic: `item-creation/${unit().id}`, snapshot: `/statistics/item-creation/${unit().id}` },
    { topic: `transfers/${unit().id}`, snapshot: `/statistics/transfers/${unit().id}` },
  ];

  return {
    unit,
    sources,
    /** @returns {(Snapshot<Payloads["Bin"][]> | undefined)[]} */
    snapshots: () => sources().map(({ topic }) => store.snapshot(topic)),
    wantedAt: () => wantedAt,
    /** @param {number} now */
    follow(now) {
      if (unit() === wanted) return;
      if (wanted) for (const { topic } of sources()) store.forgetOlder(topic, now); // from when this unit was picked before
      wanted = unit();
      wantedAt = now;
      window.setTimeout(changed, HOLD_MS);
    },
  };
}
