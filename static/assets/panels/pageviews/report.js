/** What is shown of a site's day: its tiles, its days and its paths. */

import { daysAfter } from "../../figures/days.js";
import { perDay, topBars } from "../../figures/drawings.js";
import { count, day, fullDay, readable, visible } from "../../figures/format.js";
import { highest, sum, top, withShare } from "../../figures/rows.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @typedef {{report: Payloads["DayReport"], series: Payloads["SpanReport"]}} Reports of a day, and of those up to it */
/** @typedef {Payloads["PageviewsOverview"]} Topic */
/** @typedef {Topic & Reports & {health?: Partial<Payloads["Health"]>}} Shown `health` has no checks if a proxy answered */

export const DAYS = 30;
const BARS = 10;

/** Series and report are two answers; what the report says about its day is newer. @param {Shown} payload */
const series = ({ report, series }) =>
  series.days
    .map((row) => (row.date === report.date ? report : row))
    .map(({ date, total_views, unique_users }) => ({ date, views: total_views, users: unique_users }));

/** @param {Shown} payload @param {"views" | "users"} key */
function dayBefore(payload, key) {
  const before = series(payload).find(({ date }) => date === daysAfter(payload.report.date, -1));
  return before ? `${count(before[key])} the day before` : "";
}

/** @param {Shown} payload */
const viewsOfPaths = ({ report }) =>
  withShare(report.top_paths, "views", report.total_views).map((row) => ({ ...row, path: readable(String(row.path)) }));

/** @param {Shown} payload */
export const where = ({ report }) => `${visible(report.site_id)}, ${fullDay(report.date)}`;

/** @type {Card<Shown>} */
export const days = {
  id: "days",
  title: "Views per day",
  hint: ({ report }) => `${visible(report.site_id)}, ${DAYS} days up to ${fullDay(report.date)}, UTC`,
  width: "wide",
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "views", label: "Views", kind: "count" },
    { key: "users", label: "Users", kind: "count" },
  ],
  rows: series,
  drawing: perDay("views", "Views", { value: "users", name: "Users", colour: "--series-2" }),
};

/** @type {Card<Shown>} */
export const paths = {
  id: "paths",
  title: "Top paths",
  hint: (payload) => {
    const total = payload.report.top_paths.length;
    return total > BARS ? `${where(payload)}; ${count(total)} in the table` : where(payload);
  },
  width: "wide",
  bare: "No views on this day",
  columns: [
    { key: "path", label: "Path", kind: "name" },
    { key: "views", label: "Views", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: viewsOfPaths,
  drawing: topBars("path", "views", "Views", BARS),
};

/** @type {Tile<Shown>[]} */
export const tiles = [
  { id: "views", label: "Views", show: (payload) => [payload.report.total_views, dayBefore(payload, "views")] },
  { id: "users", label: "Users", show: (payload) => [payload.report.unique_users, dayBefore(payload, "users")] },
  {
    id: "each",
    label: "Views per user",
    kind: "decimal",
    show: ({ report }) => [report.unique_users ? report.total_views / report.unique_users : null, "all views ÷ users"],
  },
  { id: "top", label: "Top path", kind: "percent", show: (payload) => top(viewsOfPaths(payload), "path", "no views") },
  {
    id: "days",
    label: `Views in ${DAYS} days`,
    show: (payload) => {
      const rows = series(payload);
      const peak = highest(rows, "views");
      return [sum(rows, "views"), peak.views ? `most on ${day(String(peak.date))}` : ""];
    },
  },
  {
    id: "all",
    label: "All sites today",
    show: ({ totalViews, siteCount: sites }) => [totalViews, sites === 1 ? "views on 1 site" : `views on ${count(sites)} sites`],
  },
];

/** @param {Shown} payload */
export function remark({ report }) {
  if (report.total_views || report.unique_users) return "";
  return `No events on this day. ${visible(report.site_id)} has neither views nor users on ${fullDay(report.date)} (UTC).`;
}
