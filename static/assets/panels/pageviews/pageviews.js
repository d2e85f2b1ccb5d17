/**
 * The panel of page views: one day of one site, beside all sites of today. The topic brings the sites of today; the
 * report of the picked site and day is queried.
 */

import { daysAfter } from "../../figures/days.js";
import { count, visible } from "../../figures/format.js";
import { withShare } from "../../figures/rows.js";
import { curl, synthetic } from "../../widgets/guide.js";
import { ask } from "../../wire/ask.js";
import { makeMemo, Query } from "../../wire/query.js";
import { Choice } from "./choice.js";
import { makePickers } from "./pickers.js";
import { days, DAYS, paths, remark, tiles, where } from "./report.js";
import { storage } from "./storage.js";
import { makeTracker, scriptTag, SOME_SITE } from "./tracker.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Known, MakePanel, Panel } from "../../cards/panel.js" */
/** @import { Pick } from "../../figures/rows.js" */
/** @import { Answer } from "../../wire/ask.js" */
/** @import { Snapshot, Store } from "../../wire/store.js" */
/** @import { Reports, Shown, Topic } from "./report.js" */

/** The most that `GET /stats` gives. */
const PATHS = 100;
/** Past days hardly change, and the picked one comes with every report. */
const SERIES_MS = 10_000;
const HEALTH_MS = 5_000;
const HEALTH = "health";

/** @param {Pick} pick @returns {Card<Shown>} */
const sites = (pick) => ({
  id: "sites",
  title: "Sites today",
  hint: "Pick one to see its pages",
  width: "third",
  bare: "No events today",
  columns: [
    { key: "site_id", label: "Site", kind: "name", pick, write: ({ site_id }) => visible(String(site_id)) },
    { key: "views", label: "Views", kind: "count" },
    { key: "users", label: "Users", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: ({ sites, totalViews }) => withShare(sites, "views", totalViews),
});

const now = "'$(date -u +%FT%TZ)'";
const visit = { site_id: SOME_SITE, event_type: "page_view", path: "/", user_id: "1", timestamp: now };

/** What no choice changes. @type {Omit<Panel<Shown, Topic>, "cards">} */
const ABOUT = {
  id: "pageviews",
  title: "Page views",
  hint: "Which pages of a site are seen, and by how many.",
  source: { topic: "pageviews", snapshot: "/pageviews" },
  tiles,
  remark,
  isEmpty: (payload) => payload.report === undefined,
  summary: (payload) => `${where(payload)}: ${count(payload.report.total_views)} views by ${count(payload.report.unique_users)} users.`,
  guide: {
    title: "No page views today",
    steps: [
      { words: "Real ones, from the pages of your site:", code: scriptTag(SOME_SITE) },
      synthetic("pageviews"),
      { words: "One of your own:", code: curl("POST", "/event", visit) },
    ],
  },
};

/** @type {MakePanel<Shown, Topic>} */
export function makePageviews(store, changed) {
  const choice = new Choice();
  const pickers = makePickers(choice, pick);
  const reports = makeReports(store, changed, choice);
  const keepHealth = makeHealth(store);
  const memo = makeMemo();

  /** @param {{site?: string, day?: string}} picked */
  function pick(picked) {
    choice.pick(picked);
    changed();
  }

  return {
    ...ABOUT,
    cards: [
      days,
      sites({ chosen: () => choice.site, choose: (site) => pick({ site }) }),
      paths,
      storage,
      makeTracker(() => choice.site),
    ],
    bar: pickers.bar,
    read: () => choice.read(),
    enter: () => reports.enter(),
    complete({ link, snapshot }, now) {
      const names = (snapshot?.payload.sites ?? []).map(({ site_id }) => site_id);
      if (snapshot) choice.setToday(snapshot.payload.today);
      if (!choice.site && names[0]) choice.suggest(names[0]);
      pickers.show(names);
      if (link.connection !== "offline") keepHealth(now);
      if (!choice.site) return /** @type {Known<any>} */ ({ link, snapshot }); // without a report it is empty
      reports.follow(snapshot, now);
      const report = reports.held(now);
      if (!snapshot || !report) return { link: reports.waiting(link), snapshot: undefined };
      /** @type {Snapshot<Shown["health"]> | undefined} */
      const health = store.snapshot(HEALTH);
      // A new frame of the topic is drawn together with the report that it caused, and not before.
      const payload = memo([report.payload, health, choice.site], () => ({
        ...snapshot.payload,
        ...report.payload,
        health: health?.payload,
      }));
      const receivedAt = Math.min(snapshot.receivedAt, report.receivedAt);
      return { link: reports.waiting(link), snapshot: { payload, receivedAt } };
    },
  };
}

/**
 * The report of the picked day, and the series of days up to it.
 * @param {Store} store @param {() => void} changed @param {Choice} choice @returns {Query<Reports>}
 */
function makeReports(store, changed, choice) {
  let seriesAt = 0;

  /** @param {string} rest of the query string */
  const stats = (rest) => ask(`/stats?site_id=${encodeURIComponent(choice.site)}&${rest}`);
  const askForReport = () => /** @type {Promise<Answer<Reports["report"]>>} */ (stats(`date=${choice.day}&limit=${PATHS}`));
  const askForSeries = () =>
    /** @type {Promise<Answer<Reports["series"]>>} */ (stats(`from=${daysAfter(choice.day, 1 - DAYS)}&to=${choice.day}&limit=1`));

  return new Query(store, changed, {
    name: "pageviews report",
    key: () => `${choice.site} ${choice.day}`,
    async run(key, kept) {
      const isDue = !kept || kept.of !== key || Date.now() - seriesAt > SERIES_MS;
      const [report, series] = await Promise.all([
        askForReport(),
        isDue ? askForSeries() : { payload: kept.series, reason: "", refused: false },
      ]);
      if (isDue && series.payload) seriesAt = Date.now();
      const { reason, refused } = report.reason ? report : series;
      return { payload: report.payload && series.payload && { report: report.payload, series: series.payload }, reason, refused };
    },
  });
}

/** Keeps the store's answer of `/health` fresh. @param {Store} store @returns {(now: number) => void} */
function makeHealth(store) {
  let askedAt = 0;
  return async (now) => {
    if (now - askedAt < HEALTH_MS) return;
    askedAt = now;
    const { payload, body } = await ask("/health");
    store.setSnapshot(HEALTH, payload ?? body ?? {});
  };
}
