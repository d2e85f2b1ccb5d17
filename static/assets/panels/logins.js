// @ts-check
/** The panel of logins: who signs in, with what, from where, when and for how long. */

import { today } from "../figures/days.js";
import { perDay, perHour, ranking, ring, stackedBars } from "../figures/drawings.js";
import { count, decimal, length, percent, percentage } from "../figures/format.js";
import { sum } from "../figures/rows.js";
import { curl, synthetic } from "../widgets/guide.js";
import { list, number, object, text } from "../wire/read.js";

/** @import { Card } from "../cards/card.js" */
/** @import { MakePanel } from "../cards/panel.js" */
/** @import { Tile } from "../cards/tiles.js" */
/** @import { Row } from "../figures/rows.js" */
/** @import { Json } from "../wire/read.js" */

const DEVICES = 5;
const REGIONS = 8;
const BROWSERS = 7;

/**
 * The server sends 0 if no session has finished.
 * @param {Json} stats
 * @param {string} key
 */
const finishedLength = (stats, key) => (stats.totalSessions ? number(stats[key]) : null);

/**
 * The server sends 0 if no session has finished.
 * @param {unknown} value
 */
const average = (value) => number(value) || null;

/** @param {Row[]} rows */
function withShare(rows) {
  const total = sum(rows, "logins");
  return rows.map((row) => ({ ...row, share: percentage(number(row.logins), total) }));
}

/** @type {Card} */
const trend = {
  id: "trend",
  title: "Logins per day",
  hint: "Last 30 days including today, UTC",
  width: "wide",
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "logins", label: "Logins", kind: "count" },
  ],
  rows: (payload) => list(payload.loginTrends).map((row) => ({ date: text(row.date), logins: number(row.loginCount) })),
  drawing: perDay("logins", "Logins"),
};

/** @type {Card} */
const devices = {
  id: "devices",
  title: "Devices",
  hint: "Share of all logins",
  width: "third",
  columns: [
    { key: "device", label: "Device", kind: "text" },
    { key: "logins", label: "Logins", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
    { key: "users", label: "Users", kind: "count" },
    { key: "average", label: "Average session", kind: "seconds" },
  ],
  rows: (payload) =>
    list(payload.deviceStats).map((row) => ({
      device: text(row.device_type),
      logins: number(row.count),
      share: number(row.percentage),
      users: number(row.unique_users),
      average: average(row.avg_session_duration_seconds),
    })),
  drawing: ring("device", "logins", "Logins", DEVICES),
};

/** @type {Card} */
const regions = {
  id: "regions",
  title: "Regions",
  hint: `The ${REGIONS} largest, by device`,
  width: "half",
  columns: [
    { key: "region", label: "Region", kind: "text" },
    { key: "device", label: "Device", kind: "text" },
    { key: "logins", label: "Logins", kind: "count" },
    { key: "total", label: "Region total", kind: "count" },
    { key: "average", label: "Average session", kind: "seconds" },
  ],
  rows: (payload) =>
    list(payload.regionDeviceStats).map((row) => ({
      region: text(row.region),
      device: text(row.device_type),
      logins: number(row.count),
      total: number(row.region_total),
      average: average(row.avg_session_duration_seconds),
    })),
  drawing: stackedBars("region", "device", "logins", "Logins", REGIONS),
};

/** @type {Card} */
const hours = {
  id: "hours",
  title: "Busiest hours",
  hint: "Logins by hour of the day, UTC",
  width: "half",
  columns: [
    { key: "hour", label: "Hour (UTC)", kind: "hour" },
    { key: "logins", label: "Logins", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: (payload) =>
    withShare(list(payload.peakHours).map((row) => ({ hour: number(row.hour), logins: number(row.loginCount) }))),
  drawing: perHour("logins", "Logins"),
};

/** @type {Card} */
const browsers = {
  id: "browsers",
  title: "Browsers",
  hint: "Logins by browser",
  width: "third",
  columns: [
    { key: "browser", label: "Browser", kind: "text" },
    { key: "logins", label: "Logins", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: (payload) =>
    withShare(list(payload.browserStats).map((row) => ({ browser: text(row.browser), logins: number(row.count) }))),
  drawing: ranking("browser", "logins", "Logins", BROWSERS),
};

/** @type {Card} */
const sessions = {
  id: "sessions",
  title: "Sessions",
  hint: "Lengths of finished sessions, per device",
  width: "wide",
  footed: true,
  columns: [
    { key: "device", label: "Device", kind: "text" },
    { key: "active", label: "Active", kind: "count" },
    { key: "finished", label: "Finished", kind: "count" },
    { key: "shortest", label: "Shortest", kind: "seconds" },
    { key: "median", label: "Median", kind: "seconds" },
    { key: "average", label: "Average", kind: "seconds" },
    { key: "longest", label: "Longest", kind: "seconds" },
  ],
  rows: (payload) => [
    ...list(payload.sessionStats).map((row) => sessionRow(text(row.device_type), row, row.active_sessions)),
    sessionRow("All devices", overall(payload), overall(payload).activeSessions),
  ],
};

/** @param {string} device @param {Json} stats @param {unknown} active @returns {Row} */
function sessionRow(device, stats, active) {
  return {
    device,
    active: number(active),
    finished: number(stats.totalSessions),
    shortest: finishedLength(stats, "minDuration"),
    median: finishedLength(stats, "medianDuration"),
    average: finishedLength(stats, "averageDuration"),
    longest: finishedLength(stats, "maxDuration"),
  };
}

/** @param {Json} payload */
const overall = (payload) => object(payload.sessionSummary);

/** @param {Json} payload */
const loginsToday = (payload) => list(payload.loginTrends).find((row) => row.date === today());

/** @param {Json} payload */
function loginsEach(payload) {
  const all = number(overall(payload).totalLogins);
  const users = number(overall(payload).uniqueUsers);
  return all === null || !users ? null : all / users;
}

/** @param {Json} payload */
const finishedShare = (payload) =>
  percentage(number(overall(payload).totalSessions), number(overall(payload).totalLogins));

/** @type {Tile[]} */
const tiles = [
  {
    id: "logins",
    label: "Logins",
    kind: "count",
    value: (payload) => number(overall(payload).totalLogins),
    note: (payload) => `${count(number(loginsToday(payload)?.loginCount))} today`,
  },
  {
    id: "users",
    label: "Users",
    kind: "count",
    value: (payload) => number(overall(payload).uniqueUsers),
    note: (payload) => `${decimal(loginsEach(payload))} logins each`,
  },
  {
    id: "active",
    label: "Active sessions",
    kind: "count",
    value: (payload) => number(overall(payload).activeSessions),
    note: () => "not logged out yet",
  },
  {
    id: "finished",
    label: "Finished sessions",
    kind: "count",
    value: (payload) => number(overall(payload).totalSessions),
    note: (payload) => `${percent(finishedShare(payload))} of all`,
  },
  {
    id: "average",
    label: "Average session",
    kind: "seconds",
    value: (payload) => finishedLength(overall(payload), "averageDuration"),
    note: (payload) => `longest ${length(finishedLength(overall(payload), "maxDuration"))}`,
  },
  {
    id: "median",
    label: "Median session",
    kind: "seconds",
    value: (payload) => finishedLength(overall(payload), "medianDuration"),
    note: () => "half are shorter",
  },
];

const example = {
  user_id: 1,
  ip_address: "203.0.113.7",
  region: "Germany",
  device_type: "Desktop",
  browser: "Firefox",
  session_duration_seconds: 1800,
};

/** @type {MakePanel} */
export const makeLogins = () => ({
  id: "logins",
  title: "Logins",
  hint: "Who signs in, with what, from where, and for how long.",
  source: { topic: "logins", snapshot: "/logins/stats" },
  tiles,
  cards: [trend, devices, regions, hours, browsers, sessions],
  isEmpty: (payload) => number(overall(payload).totalLogins) === 0,
  summary: (payload) => {
    const { totalLogins, uniqueUsers, activeSessions } = overall(payload);
    return `${count(number(totalLogins))} logins by ${count(number(uniqueUsers))} users, ${count(number(activeSessions))} sessions active.`;
  },
  guide: {
    title: "No logins yet",
    steps: [synthetic("logins", 5), { words: "One of your own:", code: curl("POST", "/logins", example) }],
  },
});
