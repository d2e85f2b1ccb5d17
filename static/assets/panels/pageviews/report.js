/** What is shown of a site's day: its tiles, its days and its paths. */

import { daysAfter } from "../../figures/days.js";
import { perDay, topBars } from "../../figures/drawings.js";
import { count, day, dayInFull, percentage } from "../../figures/format.js";
import { highest, sum } from "../../figures/rows.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/**
 * @typedef {object} Reports
 * @property {Payloads["DayReport"]} report of the picked day
 * @property {Payloads["SpanReport"]} series of days up to it
 */
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
export const where = ({ report }) => `${report.site_id}, ${dayInFull(report.date)}`;

/** @type {Card<Shown>} */
export const days = {
  id: "days",
  title: "Views per day",
  hint: ({ report }) => `${report.site_id}, ${DAYS} days up to ${dayInFull(report.date)}, UTC`,
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
  rows: ({ report: { top_paths, total_views } }) =>
    top_paths.map(({ path, views }) => ({ path, views, share: percentage(views, total_views) })),
  drawing: topBars("path", "views", "Views", BARS),
};

/** @type {Tile<Shown>[]} */
export const tiles = [
  {
    id: "views",
    label: "Views",
    kind: "count",
    value: ({ report }) => report.total_views,
    note: (payload) => dayBefore(payload, "views"),
  },
  {
    id: "users",
    label: "Users",
    kind: "count",
    value: ({ report }) => report.unique_users,
    note: (payload) => dayBefore(payload, "users"),
  },
  {
    id: "each",
    label: "Views per user",
    kind: "decimal",
    value: ({ report }) => (report.unique_users ? report.total_views / report.unique_users : null),
    note: () => "all views ÷ users",
  },
  {
    id: "top",
    label: "Top path",
    kind: "percent",
    value: ({ report }) => percentage(report.top_paths[0]?.views ?? null, report.total_views),
    note: ({ report }) => report.top_paths[0]?.path ?? "no views",
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
    value: ({ totalViews }) => totalViews,
    note: ({ siteCount }) => (siteCount === 1 ? "views on 1 site" : `views on ${count(siteCount)} sites`),
  },
];

/** @param {Shown} payload */
export function remark({ report }) {
  if (report.total_views || report.unique_users) return "";
  return `No events on this day. ${report.site_id} has neither views nor users on ${dayInFull(report.date)} (UTC).`;
}
