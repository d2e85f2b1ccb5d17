// @ts-check
/** Joins the topic, the statistics of the picked unit, and what was queried, into the payload that the cards show. */

import { unitOf } from "../../figures/units.js";
import { makeMemo } from "../../wire/query.js";
import { list, number, object, text } from "../../wire/read.js";

/** @import { makePager } from "../../widgets/pager.js" */
/** @import { Query } from "../../wire/query.js" */
/** @import { Json } from "../../wire/read.js" */
/** @import { Snapshot } from "../../wire/store.js" */
/** @import { makeItem } from "./item.js" */
/** @import { makeSeries } from "./series.js" */
/**
 * @typedef {object} Parts
 * @property {() => string} unit the id of the picked one
 * @property {ReturnType<typeof makeItem>} item
 * @property {ReturnType<typeof makePager>} pager
 * @property {ReturnType<typeof makeSeries>} series
 * @property {Query} pages
 * @property {Query} histories
 */

/** @param {Parts} parts */
export function makeComposition({ unit, item, pager, series, pages, histories }) {
  const memo = makeMemo();

  /** @param {Snapshot} topic @param {boolean} isLive @param {number} now @returns {Snapshot} */
  return (topic, isLive, now) => {
    const statistics = series.snapshots();
    const [creations, moves] = statistics;
    const [page, history] = [pages.held(now), histories.held(now)];
    const reasons = [pages.failure.reason, histories.failure.reason];
    const heardAt = statistics.map((snapshot) => snapshot?.receivedAt ?? series.wantedAt());
    const moment = momentOf(topic, isLive && creations && moves ? now : Math.min(topic.receivedAt, ...heardAt));
    const bin = unitOf(unit()).steps?.start(moment);
    const choices = [unit(), pager.before(), item.address()];
    const payload = memo([topic, creations, moves, page, history, bin, ...choices, ...reasons], () => ({
      ...topic.payload,
      unit: unit(),
      creations: creations?.payload.rows,
      moves: moves?.payload.rows,
      moment,
      page: pager.before() ? (page?.payload ?? { reason: reasons[0] || "Loading…" }) : firstPage(topic.payload),
      item: { chosen: item.chosen(), limit: item.limit(), held: history?.payload, reason: reasons[1] },
    }));
    pager.show(text(object(payload.page).next));
    const receivedAt = Math.min(topic.receivedAt, ...heardAt, ...[page, history].map((answer) => answer?.receivedAt ?? Infinity));
    return { payload, receivedAt };
  };
}

/**
 * The server's time up to which the bins are known: now while every change is pushed, else when they arrived.
 * @param {Snapshot} topic
 * @param {number} known by this browser's clock
 */
const momentOf = (topic, known) => Date.parse(text(topic.payload.generatedAt)) + known - topic.receivedAt;

/** @param {Json} topic @returns {Json} */
function firstPage(topic) {
  const items = list(topic.items);
  return { items, next: (number(topic.itemCount) ?? 0) > items.length ? items.at(-1)?.id : null };
}
