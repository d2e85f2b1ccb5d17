// @ts-check
/** What is shown of a site's day: its tiles, its days and its paths. */

import { daysAfter } from "../../figures/days.js";
import { perDay, topBars } from "../../figures/drawings.js";
import { count, day, percentage } from "../../figures/format.js";
import { highest, sum } from "../../figures/rows.js";
import { list, number, object, text } from "../../wire/read.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Json } from "../../wire/read.js" */

export const DAYS = 30;
const BARS = 10;

// The payload: the topic's, with the `report` of the picked day and the `series` of days up to it.

/** @param {Json} payload */
const report = (payload) => object(payload.report);

/** @param {Json} payload */
const site = (payload) => text(report(payload).site_id);

/** @param {Json} payload */
const date = (payload) => text(report(payload).date);

/** @param {Json} payload */
export const views = (payload) => number(report(payload).total_views);

/** @param {Json} payload */
export const users = (payload) => number(report(payload).unique_users);

/** @param {Json} payload */
const topPath = (payload) => list(report(payload).top_paths)[0];

/**
 * Series and report are two answers; what the report says about its day is newer.
 * @param {Json} payload
 */
const series = (payload) =>
  list(object(payload.series).days).map((row) => ({
    date: text(row.date),
    views: row.date === date(payload) ? views(payload) : number(row.total_views),
    users: row.date === date(payload) ? users(payload) : number(row.unique_users),
  }));

/** @param {Json} payload @param {"views" | "users"} key */
function dayBefore(payload, key) {
  const before = series(payload).find((row) => row.date === daysAfter(date(payload), -1));
  return before ? `${count(before[key])} the day before` : "";
}

/** @param {Json} payload */
export const where = (payload) => `${site(payload)}, ${day(date(payload), "long")}`;

/** @type {Card} */
export const days = {
  id: "days",
  title: "Views per day",
  hint: (payload) => `${site(payload)}, ${DAYS} days up to ${day(date(payload), "long")}, UTC`,
  width: "wide",
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "views", label: "Views", kind: "count" },
    { key: "users", label: "Users", kind: "count" },
  ],
  rows: series,
  drawing: perDay("views", "Views", { value: "users", name: "Users", colour: "--series-2" }),
};

/** @type {Card} */
export const paths = {
  id: "paths",
  title: "Top paths",
  hint: (payload) => {
    const total = list(report(payload).top_paths).length;
    return total > BARS ? `${where(payload)}; ${count(total)} in the table` : where(payload);
  },
  width: "wide",
  bare: "No views on this day",
  columns: [
    { key: "path", label: "Path", kind: "name" },
    { key: "views", label: "Views", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: (payload) =>
    list(report(payload).top_paths).map((row) => ({
      path: text(row.path),
      views: number(row.views),
      share: percentage(number(row.views), views(payload)),
    })),
  drawing: topBars("path", "views", "Views", BARS),
};

/** @type {Tile[]} */
export const tiles = [
  { id: "views", label: "Views", kind: "count", value: views, note: (payload) => dayBefore(payload, "views") },
  { id: "users", label: "Users", kind: "count", value: users, note: (payload) => dayBefore(payload, "users") },
  {
    id: "each",
    label: "Views per user",
    kind: "decimal",
    value: (payload) => (users(payload) ? (views(payload) ?? 0) / (users(payload) ?? 1) : null),
    note: () => "all views ÷ users",
  },
  {
    id: "top",
    label: "Top path",
    kind: "percent",
    value: (payload) => percentage(number(topPath(payload)?.views), views(payload)),
    note: (payload) => text(topPath(payload)?.path) || "no views",
  },
  {
    id: "days",
    label: `Views in ${DAYS} days`,
    kind: "count",
    value: (payload) => sum(series(payload), "views"),
    note: (payload) => {
      const peak = highest(series(payload), "views");
      return peak.views ? `most on ${day(String(peak.date))}` : "";
    },
  },
  {
    id: "all",
    label: "All sites today",
    kind: "count",
    value: (payload) => number(payload.totalViews),
    note: (payload) => (payload.siteCount === 1 ? "views on 1 site" : `views on ${count(number(payload.siteCount))} sites`),
  },
];

/** @param {Json} payload */
export function remark(payload) {
  if (views(payload) !== 0 || users(payload) !== 0) return "";
  return `No events on this day. ${site(payload)} has neither views nor users on ${day(date(payload), "long")} (UTC).`;
}
