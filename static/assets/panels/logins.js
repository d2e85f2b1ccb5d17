/** The panel of logins: who signs in, with what, from where, when and for how long. */

import { today } from "../figures/days.js";
import { perDay, perHour, ranking, ring, stackedBars } from "../figures/drawings.js";
import { count, decimal, length, percent, percentage } from "../figures/format.js";
import { amount, sum } from "../figures/rows.js";
import { curl, synthetic } from "../widgets/guide.js";

/** @import { Card } from "../cards/card.js" */
/** @import { MakePanel } from "../cards/panel.js" */
/** @import { Tile } from "../cards/tiles.js" */
/** @import { Row } from "../figures/rows.js" */
/** @typedef {Payloads["LoginStatistics"]} Statistics */
/** @typedef {Payloads["SessionStats" | "SessionSummary"]} Durations */

const DEVICES = 5;
const REGIONS = 8;
const BROWSERS = 7;

/**
 * The server sends 0 if no session has finished.
 * @param {Durations} stats @param {"minDuration" | "medianDuration" | "averageDuration" | "maxDuration"} key
 */
const finishedLength = (stats, key) => (stats.totalSessions ? stats[key] : null);

/** @param {Row[]} rows */
function withShare(rows) {
  const total = sum(rows, "logins");
  return rows.map((row) => ({ ...row, share: percentage(amount(row, "logins"), total) }));
}

/** @type {Card<Statistics>} */
const trend = {
  id: "trend",
  title: "Logins per day",
  hint: "Last 30 days including today, UTC",
  width: "wide",
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "logins", label: "Logins", kind: "count" },
  ],
  rows: (payload) => payload.loginTrends.map(({ date, loginCount }) => ({ date, logins: loginCount })),
  drawing: perDay("logins", "Logins"),
};

/** @type {Card<Statistics>} */
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
    payload.deviceStats.map((row) => ({
      device: row.device_type,
      logins: row.count,
      share: row.percentage,
      users: row.unique_users,
      average: row.avg_session_duration_seconds || null, // 0 if no session has finished
    })),
  drawing: ring("device", "logins", "Logins", DEVICES),
};

/** @type {Card<Statistics>} */
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
    payload.regionDeviceStats.map((row) => ({
      region: row.region,
      device: row.device_type,
      logins: row.count,
      total: row.region_total,
      average: row.avg_session_duration_seconds || null, // 0 if no session has finished
    })),
  drawing: stackedBars("region", "device", "logins", "Logins", REGIONS),
};

/** @type {Card<Statistics>} */
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
  rows: (payload) => withShare(payload.peakHours.map(({ hour, loginCount }) => ({ hour, logins: loginCount }))),
  drawing: perHour("logins", "Logins"),
};

/** @type {Card<Statistics>} */
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
  rows: (payload) => withShare(payload.browserStats.map(({ browser, count }) => ({ browser, logins: count }))),
  drawing: ranking("browser", "logins", "Logins", BROWSERS),
};

/** @type {Card<Statistics>} */
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
    ...payload.sessionStats.map((row) => sessionRow(row.device_type, row, row.active_sessions)),
    sessionRow("All devices", payload.sessionSummary, payload.sessionSummary.activeSessions),
  ],
};

/** @param {string} device @param {Durations} stats @param {number} active @returns {Row} */
function sessionRow(device, stats, active) {
  return {
    device,
    active,
    finished: stats.totalSessions,
    shortest: finishedLength(stats, "minDuration"),
    median: finishedLength(stats, "medianDuration"),
    average: finishedLength(stats, "averageDuration"),
    longest: finishedLength(stats, "maxDuration"),
  };
}

/** @param {Statistics} payload */
const loginsToday = (payload) => payload.loginTrends.find(({ date }) => date === today());

/** @param {Statistics} payload */
const loginsEach = ({ sessionSummary: { totalLogins, uniqueUsers } }) => (uniqueUsers ? totalLogins / uniqueUsers : null);

/** @param {Statistics} payload */
const finishedShare = ({ sessionSummary: { totalSessions, totalLogins } }) => percentage(totalSessions, totalLogins);

/** @type {Tile<Statistics>[]} */
const tiles = [
  {
    id: "logins",
    label: "Logins",
    kind: "count",
    value: (payload) => payload.sessionSummary.totalLogins,
    note: (payload) => `${count(loginsToday(payload)?.loginCount ?? null)} today`,
  },
  {
    id: "users",
    label: "Users",
    kind: "count",
    value: (payload) => payload.sessionSummary.uniqueUsers,
    note: (payload) => `${decimal(loginsEach(payload))} logins each`,
  },
  {
    id: "active",
    label: "Active sessions",
    kind: "count",
    value: (payload) => payload.sessionSummary.activeSessions,
    note: () => "not logged out yet",
  },
  {
    id: "finished",
    label: "Finished sessions",
    kind: "count",
    value: (payload) => payload.sessionSummary.totalSessions,
    note: (payload) => `${percent(finishedShare(payload))} of all`,
  },
  {
    id: "average",
    label: "Average session",
    kind: "seconds",
    value: (payload) => finishedLength(payload.sessionSummary, "averageDuration"),
    note: (payload) => `longest ${length(finishedLength(payload.sessionSummary, "maxDuration"))}`,
  },
  {
    id: "median",
    label: "Median session",
    kind: "seconds",
    value: (payload) => finishedLength(payload.sessionSummary, "medianDuration"),
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

/** @type {MakePanel<Statistics>} */
export const makeLogins = () => ({
  id: "logins",
  title: "Logins",
  hint: "Who signs in, with what, from where, and for how long.",
  source: { topic: "logins", snapshot: "/logins/stats" },
  tiles,
  cards: [trend, devices, regions, hours, browsers, sessions],
  isEmpty: (payload) => payload.sessionSummary.totalLogins === 0,
  summary: (payload) => {
    const { totalLogins, uniqueUsers, activeSessions } = payload.sessionSummary;
    return `${count(totalLogins)} logins by ${count(uniqueUsers)} users, ${count(activeSessions)} sessions active.`;
  },
  guide: {
    title: "No logins yet",
    steps: [synthetic("logins", 5), { words: "One of your own:", code: curl("POST", "/logins", example) }],
  },
});
