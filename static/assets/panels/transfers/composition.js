/** Joins the topic, the statistics of the picked unit, and what was queried, into the payload that the cards show. */

import { makeMemo } from "../../wire/query.js";

/** @import { Unit } from "../../figures/units.js" */
/** @import { makePager } from "../../widgets/pager.js" */
/** @import { Query } from "../../wire/query.js" */
/** @import { Snapshot } from "../../wire/store.js" */
/** @import { makeItem } from "./item.js" */
/** @import { makeSeries } from "./series.js" */
/** @typedef {Payloads["TransfersOverview"]} Topic */
/** @typedef {Partial<Payloads["ItemPage"]> & {reason?: string}} Page `reason`: why there is no page */
/** @typedef {{chosen: string, limit: number, held?: Payloads["ItemWithHistory"], reason: string}} OnScreen */
/** @typedef {{unit: Unit, moment: number, creations?: Payloads["Bin"][], moves?: Payloads["Bin"][]}} Statistics */
/** @typedef {Topic & Statistics & {page: Page, item: OnScreen}} Shown its bins are known up to the `moment` */

/**
 * @param {ReturnType<typeof makeItem>} item @param {Query<Payloads["ItemWithHistory"]>} histories
 * @param {ReturnType<typeof makePager>} pager @param {Query<Payloads["ItemPage"]>} pages
 * @param {ReturnType<typeof makeSeries>} series
 */
export function makeComposition(item, histories, pager, pages, series) {
  const memo = makeMemo();

  /** @param {Snapshot<Topic>} topic @param {boolean} isLive @param {number} now @returns {Snapshot<Shown>} */
  return (topic, isLive, now) => {
    const statistics = series.snapshots();
    const [creations, moves] = statistics;
    const [page, history] = [pages.held(now), histories.held(now)];
    const reasons = [pages.failure.reason, histories.failure.reason];
    const heardAt = statistics.map((snapshot) => snapshot?.receivedAt ?? series.wantedAt());
    const moment = momentOf(topic, isLive && creations && moves ? now : Math.min(topic.receivedAt, ...heardAt));
    const unit = series.unit();
    const bin = unit.steps?.start(moment);
    const parts = [topic, creations, moves, page, history, bin, unit, pager.before(), item.key(), ...reasons];
    /** @type {Shown} */
    const payload = memo(parts, () => ({
      ...topic.payload,
      unit,
      creations: creations?.payload,
      moves: moves?.payload,
      moment,
      page: pager.before() ? (page?.payload ?? { reason: reasons[0] || "Loading…" }) : firstPage(topic.payload),
      item: { chosen: item.chosen(), limit: item.limit(), held: history?.payload, reason: histories.failure.reason },
    }));
    pager.show(payload.page.next ?? "");
    const receivedAt = Math.min(topic.receivedAt, ...heardAt, ...[page, history].map((answer) => answer?.receivedAt ?? Infinity));
    return { payload, receivedAt };
  };
}

/**
 * The server's time up to which the bins are known: now while every change is pushed, else when they arrived.
 * @param {Snapshot<Topic>} topic @param {number} known by this browser's clock
 */
const momentOf = (topic, known) => Date.parse(topic.payload.generatedAt) + known - topic.receivedAt;

/** @param {Topic} topic @returns {Page} */
const firstPage = ({ items, itemCount }) => ({ items, next: itemCount > items.length ? items.at(-1)?.id : null });
