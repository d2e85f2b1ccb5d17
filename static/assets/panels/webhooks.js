// @ts-check
/**
 * Webhook events: how many of which type, in a window of time that the reader picks. `contracts.md` §2.
 * The topic brings all windows at once; only the list of the newest events is fetched, after every frame.
 */

import { count, percent, percentage } from "../figures/format.js";
import { amount, highest, sum } from "../figures/rows.js";
import { shares } from "../figures/shares.js";
import { perBin, windowOf, WINDOWS } from "../figures/windows.js";
import { element } from "../widgets/element.js";
import { makeMenu } from "../widgets/menu.js";
import { makeSwitch } from "../widgets/switch.js";
import { ask } from "../wire/ask.js";
import { composed, makeFetched } from "../wire/query.js";
import { isObject, list, number, object, text } from "../wire/read.js";

/** @import { Card } from "../cards/card.js" */
/** @import { Panel } from "../cards/panel.js" */
/** @import { Tile } from "../cards/tiles.js" */
/** @import { Row } from "../figures/rows.js" */
/** @import { Json } from "../wire/read.js" */

const NEWEST = 20;
/** The list costs the server a query: one a second is live enough. */
const NEWEST_MS = 1_000;
const EVENTS = "webhooks events";
/** What rows are called that are made of others: in brackets, as no service names its events. */
const MADE = { rest: "(other types)", total: "(all types)" };

const FORMATS = [
  { id: "csv", name: "CSV", words: "for spreadsheets" },
  { id: "json", name: "JSON", words: "one document" },
  { id: "ndjson", name: "NDJSON", words: "one event a line" },
];

// Reading the payload: the topic's, and beside it the picked `window`, the `newest` events, and why it has none.

/** @param {Json} payload */
const shown = (payload) => windowOf(payload.window);

/**
 * @param {Json} payload
 * @returns {Row[]}
 */
const bins = (payload) =>
  list(object(payload.segmentedData)[shown(payload).id]).map((row) => ({
    window: shown(payload).id,
    from: text(row.timestamp),
    events: number(row.count),
  }));

/** @param {Json} payload */
const inWindow = (payload) => sum(bins(payload), "events");

/**
 * The largest types, what is left, and the total of the window: percentages that add up, of numbers that add up.
 * @param {Json} payload
 * @returns {Row[]}
 */
function types(payload) {
  const total = inWindow(payload);
  if (!total) return [];
  const rows = list(object(payload.segmentedTopEventTypes)[shown(payload).id]).map((row) => ({
    type: text(row.type),
    events: number(row.count),
  }));
  const left = total - sum(rows, "events");
  const all = left > 0 ? [...rows, { type: MADE.rest, events: left, composed: "rest" }] : rows;
  const parts = shares(all.map((row) => amount(row, "events")));
  return [
    ...all.map((row, at) => ({ ...row, share: parts[at] ?? null, bar: parts[at] ?? null })),
    { type: MADE.total, events: total, share: 100, composed: "total" },
  ];
}

/**
 * Of the newest events those in the window: the list may be older than the bins, or of a longer window.
 * @param {Json} payload
 */
const received = (payload) =>
  list(object(payload.newest).events).filter((row) => text(row.receivedAt) >= String(bins(payload)[0]?.from));

/** @param {Json} payload */
const busiest = (payload) => highest(bins(payload), "events");

/** @type {Card} */
const events = {
  id: "events",
  title: "Events",
  hint: (payload) => `Per ${shown(payload).bin} in ${shown(payload).words}, UTC`,
  width: "wide",
  columns: [
    { key: "from", label: "From (UTC)", kind: "time" },
    { key: "events", label: "Events", kind: "count" },
  ],
  rows: bins,
  drawing: perBin("events", "Events"),
};

/** @type {Card} */
const topTypes = {
  id: "types",
  title: "Top event types",
  hint: (payload) => `Share of the events in ${shown(payload).words}`,
  width: "side",
  bare: (payload) => `No events in ${shown(payload).words}`,
  footed: true,
  columns: [
    { key: "type", label: "Event type", kind: "name", bar: "bar" },
    { key: "events", label: "Events", kind: "count" },
    { key: "share", label: "Share", kind: "percent" },
  ],
  rows: types,
};

/** @type {Card} */
const newest = {
  id: "newest",
  title: "Newest events",
  hint: (payload) => `The last ${NEWEST} received in ${shown(payload).words}; the export has them all`,
  width: "full",
  bare: (payload) => {
    const { of, reason } = object(payload.newest);
    return of === payload.window ? `No events in ${shown(payload).words}` : text(reason) || "Asking the server…";
  },
  columns: [
    { key: "type", label: "Event type", kind: "name" },
    { key: "user", label: "User", kind: "name" },
    { key: "received", label: "Received (UTC)", kind: "instant" },
    { key: "timestamp", label: "Timestamp (UTC)", kind: "instant" },
    { key: "metadata", label: "Metadata", kind: "json" },
  ],
  rows: (payload) =>
    received(payload).map((row) => ({
      type: text(row.eventType),
      user: text(row.userId),
      received: text(row.receivedAt),
      timestamp: text(row.timestamp),
      metadata: isObject(row.metadata) ? JSON.stringify(row.metadata) : null,
    })),
};

/** @type {Tile[]} */
const tiles = [
  {
    id: "total",
    label: "Total events",
    kind: "count",
    value: (payload) => number(payload.totalEvents),
    note: () => "of all time",
  },
  {
    id: "minute",
    label: "Events this minute",
    kind: "count",
    value: (payload) => number(payload.eventsThisMinute),
    note: (payload) => `${count(number(list(payload.eventsPerMinute).at(-2)?.count))} in the one before`,
  },
  {
    id: "window",
    label: (payload) => shown(payload).label,
    kind: "count",
    value: (payload) => (bins(payload).length ? inWindow(payload) : null),
    note: (payload) => `since ${shown(payload).brief(text(bins(payload)[0]?.from))}`,
  },
  {
    id: "busiest",
    label: (payload) => `Busiest ${shown(payload).bin}`,
    kind: "count",
    value: (payload) => number(busiest(payload).events) || null,
    note: (payload) => (busiest(payload).events ? shown(payload).brief(String(busiest(payload).from)) : "no events"),
  },
  {
    id: "top",
    label: "Top event type",
    kind: "percent",
    value: (payload) => number(types(payload)[0]?.share),
    note: (payload) => String(types(payload)[0]?.type ?? "no events"),
  },
  {
    id: "invalid",
    label: "Invalid events",
    kind: "count",
    value: (payload) => number(payload.invalidEvents),
    note: (payload) => {
      const refused = number(payload.invalidEvents);
      return refused ? `${percent(percentage(refused, refused + (number(payload.totalEvents) ?? 0)))} of all sent` : "none was refused";
    },
  },
];

/** @param {Json} payload */
function remark(payload) {
  if (number(payload.totalEvents) === 0) return "Nothing is stored yet: every event that came was refused.";
  return inWindow(payload) === 0 ? `No events in ${shown(payload).words}. What is stored is older.` : "";
}

/** @type {NonNullable<Panel["detail"]>} */
function detail(store, changed) {
  const picker = makeSwitch("webhooks", "Window", WINDOWS, changed);
  const menu = makeMenu("Export");
  const newestOnes = makeFetched(store, changed, {
    name: EVENTS,
    pace: NEWEST_MS,
    picked: () => picker.chosen().id,
    async find() {
      const answer = await ask(`/events?filter=${picker.chosen().id}&limit=${NEWEST}`);
      return { ...answer, payload: answer.payload && { events: object(answer.payload.data).events } };
    },
  });
  const compose = composed((/** @type {Json} */ topic, /** @type {string} */ id, /** @type {Json | undefined} */ found, /** @type {string} */ reason) => ({
    ...topic,
    window: id,
    newest: { ...found, reason },
  }));

  function showMenu() {
    const { id, words } = picker.chosen();
    menu.show(
      `All events of ${words}`,
      FORMATS.map((format) => ({ ...format, address: `/export/${format.id}?filter=${id}` })),
    );
  }

  window.addEventListener("hashchange", () => {
    picker.read();
    changed();
  });

  return {
    bar: element("div", { class: "pickers" }, picker.bar, menu.node),
    enter() {
      picker.read();
      newestOnes.enter();
    },
    complete({ link, snapshot }, now) {
      if (newestOnes.follow(snapshot, now)) showMenu();
      if (!snapshot) return { link, snapshot };
      // The list of another window stays for a moment, until the one that was asked for is here.
      const found = newestOnes.isFit(now) ? newestOnes.kept() : undefined;
      const receivedAt = Math.min(snapshot.receivedAt, found?.receivedAt ?? Infinity);
      const payload = compose(snapshot.payload, picker.chosen().id, found?.payload, newestOnes.failure().reason);
      return { link: newestOnes.waiting(link), snapshot: { payload, receivedAt } };
    },
  };
}

const example = { eventType: "page_view", userId: "123", timestamp: "2024-01-01T12:00:00Z", metadata: { page: "home" } };

/** @type {Panel} */
export const webhooks = {
  id: "webhooks",
  title: "Webhooks",
  hint: "What other services report, by type and time of receipt.",
  source: { topic: "webhooks", snapshot: "/webhooks" },
  tiles,
  cards: [events, topTypes, newest],
  detail,
  remark,
  isEmpty: (payload) => number(payload.totalEvents) === 0 && !number(payload.invalidEvents),
  summary: (payload) => {
    const [top] = types(payload);
    const most = top ? `, most of type ${top.type}` : "";
    return `${count(inWindow(payload))} events in ${shown(payload).words}${most}; ${count(number(payload.eventsThisMinute))} this minute.`;
  },
  guide: {
    title: "No webhook events yet",
    steps: [
      {
        words: "Synthetic ones, twenty a second, from a second terminal:",
        code: "python -m statsd generate --stream webhooks --rate 20",
      },
      {
        words: "One of your own:",
        code: `curl -X POST ${location.origin}/webhook \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(example)}'`,
      },
    ],
  },
};
