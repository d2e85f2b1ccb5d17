// @ts-check
/**
 * Page views: what one site's pages are worth on one day, beside all sites of today. `contracts.md` §5.
 * The topic brings the sites of today; every frame of it asks for the report of the picked site and day.
 */

import { daysAfter } from "../../figures/days.js";
import { first, perDay } from "../../figures/drawings.js";
import { about, bytes, count, day, percentage } from "../../figures/format.js";
import { highest, sum } from "../../figures/rows.js";
import { element } from "../../widgets/element.js";
import { makeCode } from "../../widgets/guide.js";
import { ask } from "../../wire/ask.js";
import { composed, makeFetched } from "../../wire/query.js";
import { list, number, object, text } from "../../wire/read.js";
import { Choice } from "./choice.js";
import { makePickers } from "./pickers.js";

/** @import { Card, Lead } from "../../cards/card.js" */
/** @import { Panel } from "../../cards/panel.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Json } from "../../wire/read.js" */

const DAYS = 30;
const BARS = 10;
/** The most that `GET /stats` gives. */
const PATHS = 100;

/** A report costs the server a query: one a second is live enough. */
const REPORT_MS = 1_000;
/** Days that are over hardly change; the picked one comes with every report. */
const SERIES_MS = 10_000;
const HEALTH_MS = 5_000;

const SOME_SITE = "example.com";
const REPORT = "pageviews report";
const HEALTH = "health";

const choice = new Choice("pageviews");
/** For a click on the name of a site; the panel sets it. */
let picked = () => {};

// Reading the payload: the topic's, and in it the `report` of a day, the `series` up to it, and `health`.

/** @param {Json} payload */
const report = (payload) => object(payload.report);

/** @param {Json} payload */
const site = (payload) => text(report(payload).site_id);

/** @param {Json} payload */
const date = (payload) => text(report(payload).date);

/** @param {Json} payload */
const views = (payload) => number(report(payload).total_views);

/** @param {Json} payload */
const users = (payload) => number(report(payload).unique_users);

/** @param {Json} payload */
const topPath = (payload) => list(report(payload).top_paths)[0];

/**
 * The series and the report are two answers; of the picked day the report has the last word.
 * @param {Json} payload
 */
const series = (payload) =>
  list(object(payload.series).days).map((row) => ({
    date: text(row.date),
    views: row.date === date(payload) ? views(payload) : number(row.total_views),
    users: row.date === date(payload) ? users(payload) : number(row.unique_users),
  }));

/**
 * @param {Json} payload
 * @param {"views" | "users"} key
 */
function dayBefore(payload, key) {
  const before = series(payload).find((row) => row.date === daysAfter(date(payload), -1));
  return before ? `${count(before[key])} the day before` : "";
}

/** @param {Json} payload */
const where = (payload) => `${site(payload)}, ${day(date(payload), "long")}`;

/** @type {Card} */
const days = {
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
const paths = {
  id: "paths",
  title: "Top paths",
  hint: (payload) => {
    const held = list(report(payload).top_paths).length;
    return held > BARS ? `${where(payload)}; ${count(held)} in the table` : where(payload);
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
  drawing: first("path", "views", "Views", BARS),
};

/** @type {Card} */
const sites = {
  id: "sites",
  title: "Sites today",
  hint: "Pick one to see its pages",
  width: "third",
  bare: "No events today",
  columns: [
    {
      key: "site",
      label: "Site",
      kind: "name",
      pick: {
        chosen: () => choice.site,
        choose(name) {
          choice.pick({ site: name });
          picked();
        },
      },
    },
    { key: "views", label: "Views", kind: "count" },
    { key: "users", label: "Users", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: (payload) =>
    list(payload.sites).map((row) => ({
      site: text(row.site_id),
      views: number(row.views),
      users: number(row.users),
      share: percentage(number(row.views), number(payload.totalViews)),
    })),
};

/** @type {Card} */
const storage = {
  id: "storage",
  title: "Storage",
  hint: "What became of accepted events",
  width: "third",
  columns: [
    { key: "what", label: "What", kind: "text" },
    { key: "now", label: "Now", kind: "text" },
  ],
  lead: storageLead,
  rows: (payload) => {
    const { database, spool, dead_letters } = object(object(payload.health).checks);
    const { state, rows, bytes: size } = object(spool);
    return [
      { what: "Database", now: text(database) },
      { what: "Disk queue", now: text(state) },
      { what: "Waiting events", now: count(number(rows)) },
      { what: "Waiting bytes", now: bytes(number(size)) },
      { what: "Dead letters", now: count(number(dead_letters)) },
    ];
  },
};

/**
 * @param {Json} payload
 * @returns {Lead[]}
 */
function storageLead(payload) {
  const { spool, dead_letters } = object(object(payload.health).checks);
  const waiting = number(object(spool).rows);
  const dead = number(dead_letters);
  if (waiting === null) return [{ words: payload.health ? "The server does not say" : "Asking the server", tone: "none" }];
  /** @type {Lead[]} */
  const leads = [];
  if (waiting === 0) leads.push({ words: "Every accepted event is stored", tone: "good" });
  else {
    const wait = waiting === 1 ? "accepted event waits" : "accepted events wait";
    const oldest = number(object(spool).oldest_seconds);
    const age = oldest === null ? "" : ` (oldest ${about(oldest)})`;
    leads.push({ words: `${count(waiting)} ${wait} on disk for the database${age}`, tone: "warn" });
  }
  if (object(spool).state === "full") leads.push({ words: "The disk queue is full: new events are refused", tone: "bad" });
  if (dead)
    leads.push({ words: `${count(dead)} ${dead === 1 ? "event was" : "events were"} refused by the database`, tone: "warn" });
  return leads;
}

/** @type {Card} */
const tracker = {
  id: "tracker",
  title: "Add it to a site",
  hint: "One line in the head of every page; the script is smaller than 1 KiB and sets no cookie",
  width: "full",
  content() {
    const code = makeCode("the script tag");
    const options = [
      ["data-user", "counts visitors by an id of yours; without it by a random one kept in their browser"],
      ["data-anonymous", "keeps no id: views are counted, users are not"],
      ["data-respect-dnt", "sends nothing for browsers that ask not to be tracked"],
      ['statsd("signup")', "called on the page, sends an event of your own"],
    ].flatMap(([name = "", words = ""]) => [element("dt", {}, element("code", {}, name)), element("dd", {}, words)]);
    const show = () => code.show(scriptTag(choice.site || SOME_SITE));
    show();
    return { node: element("div", {}, code.box, element("dl", { class: "options" }, ...options)), show };
  },
};

/** @param {string} name of a site, which may hold what HTML would read */
const scriptTag = (name) =>
  `<script defer src="${location.origin}/t.js" data-site="${name.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"></script>`;

/** @type {Tile[]} */
const tiles = [
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
function remark(payload) {
  if (views(payload) !== 0 || users(payload) !== 0) return "";
  return `No events on this day. ${site(payload)} has neither views nor users on ${day(date(payload), "long")} (UTC).`;
}

/** @type {NonNullable<Panel["detail"]>} */
function detail(store, changed) {
  const pickers = makePickers(choice, changed);
  const address = (/** @type {string} */ rest) => `/stats?site_id=${encodeURIComponent(choice.site)}&${rest}`;
  const reports = makeFetched(store, changed, { name: REPORT, pace: REPORT_MS, picked: key, find });
  /** @type {Json} */
  let topic = {};
  // One picture: a frame changes nothing until the report it asked for is here.
  const compose = composed((/** @type {Json} */ found, /** @type {Json | undefined} */ health, /** @type {string} */ _site) => ({
    ...topic,
    ...found,
    health,
  }));
  let seriesAt = 0;
  let healthAt = 0;

  function key() {
    return `${choice.site} ${choice.day}`;
  }

  /** @param {Json | undefined} kept */
  async function find(kept) {
    const due = kept?.of !== key() || Date.now() - seriesAt > SERIES_MS;
    const [one, many] = await Promise.all([
      ask(address(`date=${choice.day}&limit=${PATHS}`)),
      due
        ? ask(address(`from=${daysAfter(choice.day, 1 - DAYS)}&to=${choice.day}&limit=1`))
        : { payload: object(kept?.series), reason: "", refused: false },
    ]);
    if (due && many.payload) seriesAt = Date.now();
    const { reason, refused } = one.reason ? one : many;
    return { payload: one.payload && many.payload && { report: one.payload, series: many.payload }, reason, refused };
  }

  async function fetchHealth() {
    const { payload: health, body } = await ask("/health");
    store.setSnapshot(HEALTH, health ?? body ?? {});
  }

  picked = changed;
  window.addEventListener("hashchange", () => {
    choice.read();
    changed();
  });

  return {
    bar: pickers.bar,
    enter() {
      choice.read();
      reports.enter();
    },
    complete({ link, snapshot }, now) {
      const names = list(snapshot?.payload.sites).map((row) => text(row.site_id));
      if (snapshot) choice.turnTo(text(snapshot.payload.today));
      if (!choice.site && names[0]) choice.suggest(names[0]);
      pickers.show(names);
      if (link.connection !== "offline" && now - healthAt >= HEALTH_MS) {
        healthAt = now;
        fetchHealth();
      }
      if (!choice.site) return { link, snapshot };
      reports.follow(snapshot, now);
      const found = reports.kept();
      if (!snapshot || !found || !reports.isFit(now)) return { link: reports.waiting(link), snapshot: undefined };
      const receivedAt = Math.min(snapshot.receivedAt, found.receivedAt);
      topic = snapshot.payload;
      const payload = compose(found.payload, store.snapshot(HEALTH)?.payload, choice.site);
      return { link: reports.waiting(link), snapshot: { payload, receivedAt } };
    },
  };
}

const visit = `{"site_id":"${SOME_SITE}","event_type":"page_view","path":"/","user_id":"1","timestamp":"'$(date -u +%FT%TZ)'"}`;

/** @type {Panel} */
export const pageviews = {
  id: "pageviews",
  title: "Page views",
  hint: "Which pages of a site are seen, and by how many.",
  source: { topic: "pageviews", snapshot: "/pageviews" },
  tiles,
  cards: [days, sites, paths, storage, tracker],
  detail,
  remark,
  isEmpty: (payload) => payload.report === undefined,
  summary: (payload) => `${where(payload)}: ${count(views(payload))} views by ${count(users(payload))} users.`,
  guide: {
    title: "No page views today",
    steps: [
      { words: "Real ones, from the pages of your site:", code: scriptTag(SOME_SITE) },
      {
        words: "Synthetic ones, twenty a second, from a second terminal:",
        code: "python -m statsd generate --stream pageviews --rate 20",
      },
      {
        words: "One of your own:",
        code: `curl -X POST ${location.origin}/event \\\n  -H 'Content-Type: application/json' \\\n  -d '${visit}'`,
      },
    ],
  },
};
