/** The panel of logins: who signs in, with what, from where, when and for how long. */

import { today } from "../figures/days.js";
import { perDay, perHour, ranking, ring, stackedBars } from "../figures/drawings.js";
import { count, decimal, length, percent, percentage } from "../figures/format.js";
import { withShare } from "../figures/rows.js";
import { curl, synthetic } from "../widgets/guide.js";

/** @import { Card } from "../cards/card.js" */
/** @import { MakePanel } from "../cards/panel.js" */
/** @import { Tile } from "../cards/tiles.js" */
/** @typedef {Payloads["LoginStatistics"]} Statistics */

const DEVICES = 5;
const REGIONS = 8;
const BROWSERS = 7;

/** The server sends 0 if no session has finished. @param {Payloads["SessionStats" | "SessionSummary"]} stats */
const lengthsOf = (stats) =>
  stats.totalSessions ? stats : { minDuration: null, medianDuration: null, averageDuration: null, maxDuration: null };

/** @param {Payloads["DeviceStats" | "RegionDeviceStats"]} row */
const deviceRow = (row) => ({
  ...row,
  device: row.device_type,
  average: row.avg_session_duration_seconds || null, // 0 if no session has finished
});

/** @type {Card<Statistics>[]} */
const cards = [
  {
    id: "trend",
    title: "Logins per day",
    hint: "Last 30 days including today, UTC",
    width: "wide",
    columns: [
      { key: "date", label: "Day (UTC)", kind: "day" },
      { key: "loginCount", label: "Logins", kind: "count" },
    ],
    rows: (payload) => payload.loginTrends,
    drawing: perDay("loginCount", "Logins"),
  },
  {
    id: "devices",
    title: "Devices",
    hint: "Share of all logins",
    width: "third",
    columns: [
      { key: "device", label: "Device", kind: "text" },
      { key: "count", label: "Logins", kind: "count" },
      { key: "percentage", label: "Share", kind: "percent" },
      { key: "unique_users", label: "Users", kind: "count" },
      { key: "average", label: "Average session", kind: "seconds" },
    ],
    rows: (payload) => payload.deviceStats.map(deviceRow),
    drawing: ring("device", "count", "Logins", DEVICES),
  },
  {
    id: "regions",
    title: "Regions",
    hint: `The ${REGIONS} largest, by device`,
    width: "half",
    columns: [
      { key: "region", label: "Region", kind: "text" },
      { key: "device", label: "Device", kind: "text" },
      { key: "count", label: "Logins", kind: "count" },
      { key: "region_total", label: "Region total", kind: "count" },
      { key: "average", label: "Average session", kind: "seconds" },
    ],
    rows: (payload) => payload.regionDeviceStats.map(deviceRow),
    drawing: stackedBars("region", "device", "count", "Logins", REGIONS),
  },
  {
    id: "hours",
    title: "Busiest hours",
    hint: "Logins by hour of the day, UTC",
    width: "half",
    columns: [
      { key: "hour", label: "Hour (UTC)", kind: "hour" },
      { key: "loginCount", label: "Logins", kind: "count" },
      { key: "share", label: "Share", kind: "percent" },
    ],
    rows: (payload) => withShare(payload.peakHours, "loginCount"),
    drawing: perHour("loginCount", "Logins"),
  },
  {
    id: "browsers",
    title: "Browsers",
    hint: "Logins by browser",
    width: "third",
    columns: [
      { key: "browser", label: "Browser", kind: "name" },
      { key: "count", label: "Logins", kind: "count" },
      { key: "share", label: "Share", kind: "percent" },
    ],
    rows: (payload) => withShare(payload.browserStats, "count"),
    drawing: ranking("browser", "count", "Logins", BROWSERS),
  },
  {
    id: "sessions",
    title: "Sessions",
    hint: "Lengths of finished sessions, per device",
    width: "wide",
    footed: true,
    columns: [
      { key: "device", label: "Device", kind: "text" },
      { key: "active", label: "Active", kind: "count" },
      { key: "finished", label: "Finished", kind: "count" },
      { key: "minDuration", label: "Shortest", kind: "seconds" },
      { key: "medianDuration", label: "Median", kind: "seconds" },
      { key: "averageDuration", label: "Average", kind: "seconds" },
      { key: "maxDuration", label: "Longest", kind: "seconds" },
    ],
    rows: ({ sessionStats, sessionSummary: all }) => [
      ...sessionStats.map((row) => ({
        ...lengthsOf(row),
        device: row.device_type,
        active: row.active_sessions,
        finished: row.totalSessions,
      })),
      { ...lengthsOf(all), device: "All devices", active: all.activeSessions, finished: all.totalSessions },
    ],
  },
];

/** @type {Tile<Statistics>[]} */
const tiles = [
  {
    id: "logins",
    label: "Logins",
    show: ({ sessionSummary: { totalLogins }, loginTrends }) => {
      const ofToday = loginTrends.find(({ date }) => date === today());
      return [totalLogins, `${count(ofToday?.loginCount ?? null)} today`];
    },
  },
  {
    id: "users",
    label: "Users",
    show: ({ sessionSummary: { totalLogins, uniqueUsers } }) => {
      const each = uniqueUsers ? totalLogins / uniqueUsers : null;
      return [uniqueUsers, `${decimal(each)} logins each`];
    },
  },
  {
    id: "active",
    label: "Active sessions",
    show: ({ sessionSummary }) => [sessionSummary.activeSessions, "not logged out yet"],
  },
  {
    id: "finished",
    label: "Finished sessions",
    show: ({ sessionSummary: { totalSessions, totalLogins } }) => [
      totalSessions,
      `${percent(percentage(totalSessions, totalLogins))} of all`,
    ],
  },
  {
    id: "average",
    label: "Average session",
    kind: "seconds",
    show: ({ sessionSummary }) => {
      const { averageDuration, maxDuration } = lengthsOf(sessionSummary);
      return [averageDuration, `longest ${length(maxDuration)}`];
    },
  },
  {
    id: "median",
    label: "Median session",
    kind: "seconds",
    show: ({ sessionSummary }) => [lengthsOf(sessionSummary).medianDuration, "half are shorter"],
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
  cards,
  isEmpty: (payload) => payload.sessionSummary.totalLogins === 0,
  summary: (payload) => {
    const { totalLogins, uniqueUsers, activeSessions } = payload.sessionSummary;
    return `${count(totalLogins)} logins by ${count(uniqueUsers)} users, ${count(activeSessions)} sessions active.`;
  },
  guide: {
    title: "No logins yet",
    steps: [synthetic("logins"), { words: "One of your own:", code: curl("POST", "/logins", example) }],
  },
});
