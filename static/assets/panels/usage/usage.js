// @ts-check
/**
 * Usage: which features of this dashboard are used, by whom and when. `contracts.md` §3. The topic says that something
 * changed; the numbers are then fetched with this reader's own filters.
 */

import { everyDay, today as localToday } from "../../figures/days.js";
import { first, perDay } from "../../figures/drawings.js";
import { count, day, percentage } from "../../figures/format.js";
import { amount, highest, sum } from "../../figures/rows.js";
import { Address } from "../../widgets/address.js";
import { saveCsv } from "../../widgets/csv.js";
import { button, element, hooked } from "../../widgets/element.js";
import { ask } from "../../wire/ask.js";
import { composed, makeFetched } from "../../wire/query.js";
import { list, number, object, text } from "../../wire/read.js";
import { session } from "../../wire/session.js";
import { makeFilterBar } from "./filterbar.js";
import { active, analyticsOf, keepFilters, keptFilters, NO_FILTERS } from "./filters.js";
import { makeSignin } from "./signin.js";
import { track, tracked } from "./track.js";
import { makeWho } from "./who.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Panel } from "../../cards/panel.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Row } from "../../figures/rows.js" */
/** @import { Json } from "../../wire/read.js" */
/** @import { Filters } from "./filters.js" */
/** @import { View } from "./signin.js" */

const ANALYTICS = "usage analytics";
/** The charts cost the server a query: one a second is live enough. */
const ANALYTICS_MS = 1_000;
const BARS = 12;
const FEATURE_CHARACTERS = 64;
/** @type {View[]} */
const VIEWS = ["login", "register"];
/** @type {[string, string]} */
const CLICKS = ["click", "clicks"];

const address = new Address("usage");
/** The feature whose days are drawn, and the one whose days were pointed at last; empty for none. */
let picked = "";
let hovered = "";
/** For a click on a bar; the panel sets it. */
let choose = (/** @type {string} */ _feature) => {};
const pick = { choose: (/** @type {string} */ feature) => choose(feature), chosen: () => picked };

// Reading the payload: the topic's, and beside it the `charts`, with the `filters` and the `feature` they are of.

/**
 * @param {Json} payload
 * @returns {Row[]}
 */
function bars(payload) {
  const rows = list(object(payload.charts).barChartData).map((row) => ({ feature: text(row.feature), clicks: number(row.count) }));
  const all = sum(rows, "clicks");
  return rows.map((row) => ({ ...row, share: percentage(row.clicks, all) }));
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
const today = (payload) => text(object(payload.today).date) || localToday();

/**
 * @param {Json} payload
 * @returns {Row[]}
 */
function days(payload) {
  const counted = list(object(payload.charts).lineChartData).map((row) => ({ date: text(row.date), clicks: number(row.count) ?? 0 }));
  const { startDate, endDate } = filters(payload);
  return everyDay(counted, { from: startDate, until: endDate, today: today(payload) });
}

/** @param {string} name out of an address */
const isFeature = (name) => name.trim() !== "" && [...name].length <= FEATURE_CHARACTERS && !/[\p{Cc}\u2028\u2029]/u.test(name);

/** Once for every feature that is picked. */
function hover() {
  if (picked === hovered) return;
  hovered = picked;
  track("line_chart_hover");
}

/** @type {Card} */
const usageCard = {
  id: "features",
  title: "Feature usage",
  hint: (payload) => {
    const [all, words] = [bars(payload).length, filtered(payload) || "Clicks of everybody, of all time"];
    return all > BARS ? `${words}; the ${BARS} most used of ${count(all)}` : words;
  },
  width: "half",
  bare: "No clicks match these filters",
  columns: [
    { key: "feature", label: "Feature", kind: "name", pick },
    { key: "clicks", label: "Clicks", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: bars,
  drawing: first("feature", "clicks", "Clicks", BARS, { unit: CLICKS, pick }),
};

/** @type {Card} */
const trendCard = {
  id: "trend",
  title: "Time trend",
  heading: (payload) => (feature(payload) ? `Time trend - ${feature(payload)}` : "Time trend"),
  hint: (payload) => (feature(payload) ? `Per day, UTC; ${filtered(payload) || "clicks of all time"}` : "Clicks on one feature, per day"),
  width: "half",
  bare: (payload) => (feature(payload) ? "No clicks on it match these filters" : "Pick a bar to see its days"),
  columns: [
    { key: "date", label: "Day (UTC)", kind: "day" },
    { key: "clicks", label: "Clicks", kind: "count" },
  ],
  rows: days,
  drawing: { ...perDay("clicks", "Clicks"), entered: hover },
};

/** @type {Tile[]} */
const tiles = [
  {
    id: "clicks",
    label: "Clicks",
    kind: "count",
    value: clicks,
    note: (payload) => (filtered(payload) ? `of ${count(number(payload.totalClicks))} in all` : "of all time"),
  },
  {
    id: "today",
    label: "Today",
    kind: "count",
    value: (payload) => number(object(payload.today).totalClicks),
    note: () => "clicks of everybody, UTC",
  },
  {
    id: "features",
    label: "Features used",
    kind: "count",
    value: (payload) => bars(payload).length,
    note: (payload) => (filtered(payload) ? `of ${count(number(payload.featureCount))} in all` : "of all time"),
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
 * What is on screen, as one file: the bars, and the days of the picked one.
 * @param {Json} payload
 */
function saveAll(payload) {
  saveCsv("usage", [
    ["Chart", "Feature", "Day (UTC)", "Clicks"],
    ...bars(payload).map((row) => [usageCard.title, row.feature ?? "", null, row.clicks ?? null]),
    ...days(payload).map((row) => [trendCard.title, feature(payload), row.date ?? "", row.clicks ?? null]),
  ]);
}

/** @type {NonNullable<Panel["detail"]>} */
function detail(store, changed, clear) {
  const signin = makeSignin();
  const who = makeWho();
  const bar = makeFilterBar(set);
  let own = session.user ? keptFilters(session.user.id) : NO_FILTERS;
  /** The id of who is logged in, or has to log in again. */
  let reader = session.user?.id;
  /** Where the reader wanted to go, before having to log in. */
  /** @type {string[]} */
  let wanted = [];
  /** @type {Json} */
  let shown = {};

  const analytics = makeFetched(store, changed, {
    name: ANALYTICS,
    pace: ANALYTICS_MS,
    picked: () => JSON.stringify([session.user?.id, own, picked]),
    find,
  });
  const compose = composed((/** @type {Json} */ topic, /** @type {Json} */ found, /** @type {string} */ _picked) => ({ ...topic, ...found }));

  async function find() {
    const { user } = session;
    if (!user) return { reason: "", refused: false };
    const what = { filters: own, feature: picked };
    await tracked();
    const answer = await ask(analyticsOf(what.filters, what.feature));
    if (answer.status === 401) session.expire(user, answer);
    return { ...answer, payload: answer.payload && { ...what, charts: answer.payload } };
  }

  /** @param {Partial<Filters>} patch @param {string} used */
  function set(patch, used) {
    own = { ...own, ...patch };
    if (session.user) keepFilters(session.user.id, own);
    if (used) track(used);
    changed();
  }

  choose = (name) => {
    if (name !== picked) address.push("trend", name);
    picked = name;
    track("bar_chart_zoom");
    analytics.now();
    changed();
  };

  /** Follows the address: to a feature, or to the view in which one logs in. */
  function read() {
    const parts = address.read();
    if (!parts) return;
    const view = VIEWS.find((one) => one === parts[0]);
    if (!view) wanted = parts;
    address.replace(...(session.user ? wanted : [view ?? "login"]));
    const [place, name = ""] = wanted;
    picked = place === "trend" && isFeature(name) ? name : "";
    signin.show(view ?? "login");
  }

  /** Where one goes on by keyboard: after the next drawing, which shows it. */
  function focus() {
    if (!address.read()) return;
    requestAnimationFrame(() => (session.user ? hooked("data-panels").focus({ preventScroll: true }) : signin.focus()));
  }

  /** Of what one reader saw nothing is left, in the page or in memory: whoever comes next may be somebody else. */
  function forget() {
    picked = hovered = "";
    analytics.forget();
    shown = compose({}, {}, "");
    who.show();
    bar.show(own);
    clear();
  }

  /** Who has to log in again goes on where they were; somebody else does not. */
  function follow() {
    const before = reader;
    reader = session.user?.id ?? (session.ended ? reader : undefined);
    if (before === undefined || before === reader) return;
    wanted = [];
    address.replace("login");
  }

  const refresh = button({ class: "action", "data-refresh": "" }, "Refresh", analytics.now);
  const save = button({ class: "action", "data-export": "" }, "Export", () => saveAll(shown));

  window.addEventListener("hashchange", ({ oldURL }) => {
    read();
    changed();
    if (!session.user && VIEWS.some((view) => oldURL.endsWith(`#usage/${view}`))) focus();
  });
  session.addEventListener("change", () => {
    const { user } = session;
    own = user ? keptFilters(user.id) : NO_FILTERS;
    forget();
    follow();
    read();
    changed();
    focus();
  });

  return {
    corner: who.node,
    bar: element(
      "div",
      { class: "filters", role: "group", "aria-label": "Filters", "data-filters": "" },
      element("div", { class: "pickers" }, ...bar.fields, element("div", { class: "acts" }, refresh, save)),
      bar.chips,
    ),
    gate: {
      node: signin.node,
      isClosed: () => session.user === null,
      sentence: () => session.ended || "Log in to see the usage.",
    },
    enter() {
      session.look();
      read();
      analytics.enter();
      if (!session.user && document.activeElement === document.body) focus();
    },
    complete({ link, snapshot }, now) {
      who.show();
      bar.show(own);
      if (!session.user) return { link, snapshot: undefined };
      analytics.follow(snapshot, now);
      const found = analytics.kept();
      const turning = !analytics.isCurrent();
      const failed = turning && analytics.failure().reason !== "";
      if (!snapshot || !found || failed) return { link: analytics.waiting(link), snapshot: undefined };
      const receivedAt = Math.min(snapshot.receivedAt, found.receivedAt);
      shown = compose(snapshot.payload, found.payload, picked);
      return { link: analytics.waiting(link), snapshot: { payload: shown, receivedAt }, turning };
    },
  };
}

const clickCommand = `curl -X POST ${location.origin}/track \\\n  -H 'Authorization: Bearer TOKEN' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"feature_name": "date_filter"}'`;

/** @type {Panel} */
export const usage = {
  id: "usage",
  title: "Usage",
  hint: "Which features of this dashboard are used, when, and by whom.",
  source: { topic: "usage", snapshot: "/usage" },
  tiles,
  cards: [usageCard, trendCard],
  detail,
  isEmpty: (payload) => number(payload.totalClicks) === 0,
  summary: (payload) => {
    const [top] = bars(payload);
    const of = filtered(payload) && ` (${filtered(payload)})`;
    const most = top ? `, most on ${top.feature}` : "";
    const trend = feature(payload) ? `; ${count(sum(days(payload), "clicks"))} on ${feature(payload)}` : "";
    return `${count(clicks(payload))} clicks${of}${most}${trend}.`;
  },
  guide: {
    title: "No clicks yet",
    steps: [
      { words: "Your own: set a filter above or open another panel. Or from a program, with the token that logging in answers:", code: clickCommand },
      { words: "Synthetic ones, two a second, from a second terminal:", code: "python -m statsd generate --stream usage --rate 2" },
      { words: "Ten sample users and a hundred of their clicks:", code: "python -m statsd seed --usage" },
    ],
  },
};
