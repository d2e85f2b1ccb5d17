// @ts-check
/** What is shown: the features and their clicks, the days of the picked feature, and the tiles. */

import { everyDay, today } from "../../figures/days.js";
import { perDay, topBars } from "../../figures/drawings.js";
import { count, day, percentage } from "../../figures/format.js";
import { amount, highest, sum } from "../../figures/rows.js";
import { saveCsv } from "../../widgets/csv.js";
import { list, number, object, text } from "../../wire/read.js";
import { active, NO_FILTERS } from "./filters.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Pick, Row } from "../../figures/rows.js" */
/** @import { Json } from "../../wire/read.js" */
/** @import { Filters } from "./filters.js" */

const BARS = 12;
/** @type {[string, string]} */
const CLICKS = ["click", "clicks"];
const TITLES = { bars: "Feature usage", days: "Time trend" };

// The payload: the topic's, with the `charts`, and the `filters` and the `feature` that they are of.

/** @param {Json} payload @returns {Row[]} */
function bars(payload) {
  const rows = list(object(payload.charts).barChartData).map((row) => ({ feature: text(row.feature), clicks: number(row.count) }));
  const total = sum(rows, "clicks");
  return rows.map((row) => ({ ...row, share: percentage(row.clicks, total) }));
}

/** @param {Json} payload */
const clicks = (payload) => sum(bars(payload), "clicks");

/** @param {Json} payload */
const feature = (payload) => text(payload.feature);

/** @param {Json} payload */
const filters = (payload) => /** @type {Filters} */ (payload.filters ?? NO_FILTERS);

/** @param {Json} payload */
const filtered = (payload) =>
  active(filters(payload))
    .map(({ words }) => words)
    .join(", ");

/** @param {Json} payload */
const serverToday = (payload) => text(object(payload.today).date) || today();

/** @param {Json} payload @returns {Row[]} */
function days(payload) {
  const counted = list(object(payload.charts).lineChartData).map((row) => ({ date: text(row.date), clicks: number(row.count) ?? 0 }));
  const { startDate, endDate } = filters(payload);
  return everyDay(counted, { from: startDate, until: endDate, today: serverToday(payload) });
}

/** @param {Pick} pick @returns {Card} */
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
    { key: "clicks", label: "Clicks", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: bars,
  drawing: topBars("feature", "clicks", "Clicks", BARS, { unit: CLICKS, pick }),
});

/**
 * @param {() => unknown} entered the pointer enters the chart
 * @returns {Card}
 */
export const trendCard = (entered) => ({
  id: "trend",
  title: TITLES.days,
  heading: (payload) => (feature(payload) ? `${TITLES.days} - ${feature(payload)}` : TITLES.days),
  hint: (payload) => (feature(payload) ? `Per day, UTC; ${filtered(payload) || "all clicks"}` : "Clicks on one feature, per day"),
  width: "half",
  bare: (payload) => (feature(payload) ? "No clicks on it match these filters" : "Pick a bar to see its days"),
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "clicks", label: "Clicks", kind: "count" },
  ],
  rows: days,
  drawing: { ...perDay("clicks", "Clicks"), entered },
});

/** @type {Tile[]} */
export const tiles = [
  {
    id: "clicks",
    label: "Clicks",
    kind: "count",
    value: clicks,
    note: (payload) => (filtered(payload) ? `of ${count(number(payload.totalClicks))} in total` : "all time"),
  },
  {
    id: "today",
    label: "Today",
    kind: "count",
    value: (payload) => number(object(payload.today).totalClicks),
    note: () => "clicks by all users, UTC",
  },
  {
    id: "features",
    label: "Features used",
    kind: "count",
    value: (payload) => bars(payload).length,
    note: (payload) => (filtered(payload) ? `of ${count(number(payload.featureCount))} in total` : "all time"),
  },
  {
    id: "top",
    label: "Most used",
    kind: "percent",
    value: (payload) => number(bars(payload)[0]?.share),
    note: (payload) => String(bars(payload)[0]?.feature ?? "no clicks"),
  },
  {
    id: "picked",
    label: "Picked feature",
    kind: "count",
    value: (payload) => (feature(payload) ? sum(days(payload), "clicks") : null),
    note: (payload) => feature(payload) || "pick a bar",
  },
  {
    id: "busiest",
    label: "Its busiest day",
    kind: "count",
    value: (payload) => number(highest(days(payload), "clicks").clicks) || null,
    note: (payload) => {
      const peak = highest(days(payload), "clicks");
      return amount(peak, "clicks") ? day(String(peak.date), "medium") : "";
    },
  },
];

/**
 * Saves what is on screen as one file: the features, and the days of the picked one.
 * @param {Json} payload
 */
export function saveAll(payload) {
  saveCsv("usage", [
    ["Chart", "Feature", "Day (UTC)", "Clicks"],
    ...bars(payload).map((row) => [TITLES.bars, row.feature ?? "", null, row.clicks ?? null]),
    ...days(payload).map((row) => [TITLES.days, feature(payload), row.date ?? "", row.clicks ?? null]),
  ]);
}

/** @param {Json} payload */
export function summary(payload) {
  const [top] = bars(payload);
  const of = filtered(payload) && ` (${filtered(payload)})`;
  const most = top ? `, most on ${top.feature}` : "";
  const trend = feature(payload) ? `; ${count(sum(days(payload), "clicks"))} on ${feature(payload)}` : "";
  return `${count(clicks(payload))} clicks${of}${most}${trend}.`;
}
