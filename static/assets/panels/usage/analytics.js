/** The numbers for the reader's choice, beside those of the topic. */

import { ask } from "../../wire/ask.js";
import { makeMemo, Query } from "../../wire/query.js";
import { session } from "../../wire/session.js";
import { analyticsOf } from "./filters.js";

/** @import { Known } from "../../cards/panel.js" */
/** @import { Store } from "../../wire/store.js" */
/** @import { Choice } from "./choice.js" */
/** @import { Shown, Topic } from "./numbers.js" */
/** @import { makeTracker } from "./track.js" */

/**
 * @param {Store} store @param {() => void} changed @param {Choice} choice
 * @param {ReturnType<typeof makeTracker>} tracker
 */
export function makeAnalytics(store, changed, choice, tracker) {
  let memo = makeMemo();
  /** @type {Shown | undefined} */
  let payload;

  const query = new Query(store, changed, {
    name: "usage analytics",
    key: () => choice.key,
    async run() {
      const { filters, feature } = choice;
      const { user } = session;
      await tracker.tracked();
      const answer = await ask(analyticsOf(filters, feature));
      if (user && answer.status === 401) session.expire(user, answer);
      return { ...answer, payload: answer.payload && { filters, feature, charts: answer.payload } };
    },
  });

  return {
    now: () => query.now(),
    enter: () => query.enter(),
    /** What is on screen. */
    payload: () => payload,

    /** Leaves nothing that the reader saw in memory: the next one may be somebody else. */
    forget() {
      query.forget();
      memo = makeMemo();
      payload = undefined;
    },

    /** @param {Known<Topic>} known @param {number} now @returns {Known<Shown>} */
    complete({ link, snapshot }, now) {
      query.follow(snapshot, now);
      const charts = query.kept;
      const turning = !query.isCurrent;
      const hasFailed = turning && query.failure.reason !== "";
      if (!snapshot || !charts || hasFailed) return { link: query.waiting(link), snapshot: undefined };
      payload = memo([snapshot.payload, charts.payload, choice.feature], () => ({ ...snapshot.payload, ...charts.payload }));
      const receivedAt = Math.min(snapshot.receivedAt, charts.receivedAt);
      return { link: query.waiting(link), snapshot: { payload, receivedAt }, turning };
    },
  };
}
