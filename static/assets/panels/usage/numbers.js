/** What is shown: the features and their clicks, the days of the picked feature, and the tiles. */

import { everyDay } from "../../figures/days.js";
import { perDay, topBars } from "../../figures/drawings.js";
import { count, dayWithYear } from "../../figures/format.js";
import { highest, number, sum, top, withShare } from "../../figures/rows.js";
import { saveCsv } from "../../widgets/csv.js";
import { active } from "./filters.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Pick } from "../../figures/rows.js" */
/** @import { Filters } from "./filters.js" */
/** @typedef {Payloads["UsageOverview"]} Topic */
/** @typedef {{charts: Payloads["Analytics"], filters: Filters, feature: string}} Picked `charts`: of these filters and feature */
/** @typedef {Topic & Picked} Shown */

const BARS = 12;
const TITLES = { bars: "Feature usage", days: "Time trend" };

/** @param {Shown} payload */
const bars = ({ charts }) => withShare(charts.barChartData, "count");

/** @param {Shown} payload */
const clicks = ({ charts }) => sum(charts.barChartData, "count");

/** @param {Shown} payload */
const filtered = ({ filters }) => active(filters).map(({ words }) => words).join(", ");

/** @param {Shown} payload */
const days = ({ charts, filters, today }) =>
  everyDay(charts.lineChartData, { from: filters.startDate, until: filters.endDate, today: today.date });

/** @param {Pick} pick @returns {Card<Shown>} */
export const featuresCard = (pick) => ({
  id: "features",
  title: TITLES.bars,
  hint: (payload) => {
    const words = filtered(payload) || "Clicks by all users, all time";
    const features = bars(payload).length;
    return features > BARS ? `${words}; the ${BARS} most used of ${count(features)}` : words;
  },
  width: "half",
  bare: "No clicks match these filters",
  columns: [
    { key: "feature", label: "Feature", kind: "name", pick },
    { key: "count", label: "Clicks", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: bars,
  drawing: topBars("feature", "count", "Clicks", BARS, { unit: ["click", "clicks"], pick }),
});

/** @param {() => unknown} entered the pointer enters the chart @returns {Card<Shown>} */
export const trendCard = (entered) => ({
  id: "trend",
  title: TITLES.days,
  heading: (payload) => (payload.feature ? `${TITLES.days} - ${payload.feature}` : TITLES.days),
  hint: (payload) => (payload.feature ? `Per day, UTC; ${filtered(payload) || "all clicks"}` : "Clicks on one feature, per day"),
  width: "half",
  bare: (payload) => (payload.feature ? "No clicks on it match these filters" : "Pick a bar to see its days"),
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "count", label: "Clicks", kind: "count" },
  ],
  rows: days,
  drawing: { ...perDay("count", "Clicks"), entered },
});

/** @param {Shown} payload @param {number} all */
const outOf = (payload, all) => (filtered(payload) ? `of ${count(all)} in total` : "all time");

/** @type {Tile<Shown>[]} */
export const tiles = [
  { id: "clicks", label: "Clicks", show: (payload) => [clicks(payload), outOf(payload, payload.totalClicks)] },
  { id: "today", label: "Today", show: (payload) => [payload.today.totalClicks, "clicks by all users, UTC"] },
  { id: "features", label: "Features used", show: (payload) => [bars(payload).length, outOf(payload, payload.featureCount)] },
  { id: "top", label: "Most used", kind: "percent", show: (payload) => top(bars(payload), "feature", "no clicks") },
  {
    id: "picked",
    label: "Picked feature",
    show: (payload) => (payload.feature ? [sum(days(payload), "count"), payload.feature] : [null, "pick a bar"]),
  },
  {
    id: "busiest",
    label: "Its busiest day",
    show: (payload) => {
      const { count: most, date } = highest(days(payload), "count");
      return most ? [number(most), dayWithYear(String(date))] : [null, ""];
    },
  },
];

/** Both charts in one file. @param {Shown | undefined} payload */
export const saveAll = (payload) =>
  saveCsv("usage", [["Chart", "Feature", "Day (UTC)", "Clicks"], ...(payload ? linesOf(payload) : [])]);

/** @param {Shown} payload */
const linesOf = (payload) => [
  ...payload.charts.barChartData.map(({ feature, count }) => [TITLES.bars, feature, null, count]),
  ...days(payload).map(({ date, count }) => [TITLES.days, payload.feature, date, count]),
];

/** @param {Shown} payload */
export function summary(payload) {
  const [first] = bars(payload);
  const of = filtered(payload) && ` (${filtered(payload)})`;
  const most = first ? `, most on ${first.feature}` : "";
  const trend = payload.feature ? `; ${count(sum(days(payload), "count"))} on ${payload.feature}` : "";
  return `${count(clicks(payload))} clicks${of}${most}${trend}.`;
}
