/**
 * The panel of webhook events: how many of which type, in a window of time that the reader picks. The topic brings all
 * windows at once; only the newest events are queried.
 */

import { count, percent, percentage } from "../figures/format.js";
import { highest, number, sum, top } from "../figures/rows.js";
import { shares } from "../figures/shares.js";
import { perBin } from "../figures/units.js";
import { windowOf, WINDOWS } from "../figures/windows.js";
import { element } from "../widgets/element.js";
import { curl, synthetic } from "../widgets/guide.js";
import { makeMenu } from "../widgets/menu.js";
import { makeSwitch } from "../widgets/switch.js";
import { addressed } from "../wire/access.js";
import { ask } from "../wire/ask.js";
import { makeMemo, Query } from "../wire/query.js";

/** @import { Card } from "../cards/card.js" */
/** @import { MakePanel, Panel } from "../cards/panel.js" */
/** @import { Tile } from "../cards/tiles.js" */
/** @import { Row } from "../figures/rows.js" */
/** @import { Window } from "../figures/windows.js" */
/** @import { Source } from "../wire/feed.js" */
/** @import { Snapshot } from "../wire/store.js" */
/** @typedef {Payloads["WebhooksOverview"]} Topic */
/** @typedef {{of?: string, events?: Payloads["StoredEvent"][], reason: string}} Newest `reason`: why there are no events */
/** @typedef {Payloads["RefusedDelivery"]} Refused */
/** @typedef {Topic & {window: Window, newest: Newest, refused?: Refused[]}} Shown with the window that is picked */

const NEWEST = 20;
/** Names of rows that sum up others, in brackets, which no service uses in its names. */
const COMPOSED = { rest: "(other types)", total: "(all types)" };

const FORMATS = [
  { id: "csv", name: "CSV", words: "for spreadsheets" },
  { id: "json", name: "JSON", words: "one document" },
  { id: "ndjson", name: "NDJSON", words: "one event a line" },
];

/** @param {Shown} payload */
const bins = ({ segmentedData, window: { id } }) =>
  segmentedData[id].map(({ timestamp, count }) => ({ window: id, from: timestamp, events: count }));

/** @param {Shown} payload */
const inWindow = (payload) => sum(bins(payload), "events");

/** The largest types, the rest and the total: counts and shares add up. @param {Shown} payload @returns {Row[]} */
function types(payload) {
  const total = inWindow(payload);
  if (!total) return [];
  const rows = payload.segmentedTopEventTypes[payload.window.id];
  const rest = total - sum(rows, "count");
  const all = rest > 0 ? [...rows, { type: COMPOSED.rest, count: rest, composed: "rest" }] : rows;
  const parts = shares(all.map((row) => row.count));
  return [
    ...all.map((row, at) => ({ ...row, share: parts[at] ?? null, bar: parts[at] ?? null })),
    { type: COMPOSED.total, count: total, share: 100, composed: "total" },
  ];
}

/**
 * The newest events that are in the window: their list may be older than the bins, or be of a longer window.
 * @param {Shown} payload
 */
const received = (payload) =>
  (payload.newest.events ?? []).filter(({ receivedAt }) => receivedAt >= String(bins(payload)[0]?.from));

/** @type {Card<Shown>[]} */
const cards = [
  {
    id: "events",
    title: "Events",
    hint: ({ window }) => `Per ${window.unit.id} in ${window.words}, UTC`,
    width: "wide",
    columns: [
      { key: "from", label: "From (UTC)", kind: "time" },
      { key: "events", label: "Events", kind: "count" },
    ],
    rows: bins,
    drawing: perBin("line", "events", "Events", "--accent", (row) => windowOf(row?.window)),
  },
  {
    id: "types",
    title: "Top event types",
    hint: ({ window }) => `Share of the events in ${window.words}`,
    width: "side",
    bare: ({ window }) => `No events in ${window.words}`,
    footed: true,
    columns: [
      { key: "type", label: "Event type", kind: "name", bar: "bar" },
      { key: "count", label: "Events", kind: "count" },
      { key: "share", label: "Share", kind: "percent" },
    ],
    rows: types,
  },
  {
    id: "newest",
    title: "Newest events",
    hint: ({ window }) => `The last ${NEWEST} received in ${window.words}; the export has them all`,
    width: "full",
    bare: ({ newest: { of, reason }, window }) => (of === window.id ? `No events in ${window.words}` : reason || "Loading…"),
    columns: [
      { key: "eventType", label: "Event type", kind: "name" },
      { key: "userId", label: "User", kind: "name" },
      { key: "receivedAt", label: "Received (UTC)", kind: "instant" },
      { key: "timestamp", label: "Timestamp (UTC)", kind: "instant" },
      { key: "metadata", label: "Metadata", kind: "json" },
    ],
    rows: (payload) =>
      received(payload).map((row) => ({ ...row, metadata: row.metadata ? JSON.stringify(row.metadata) : null })),
  },
  {
    id: "refused",
    title: "Refused",
    hint: "The latest deliveries that were refused, or some of their events; what was sent is not kept",
    width: "full",
    bare: ({ refused }) => (refused ? "Nothing was refused" : "Loading…"),
    columns: [
      { key: "refusedAt", label: "Time (UTC)", kind: "instant" },
      { key: "why", label: "Why", kind: "words" },
      { key: "address", label: "From", kind: "text" },
      { key: "path", label: "To", kind: "text" },
      { key: "status", label: "Answer", kind: "text" },
    ],
    rows: ({ refused }) => (refused ?? []).map(({ reasons, ...row }) => ({ ...row, why: reasons.join("; ") })),
  },
];

/** @type {Tile<Shown>[]} */
const tiles = [
  { id: "total", label: "Total events", show: ({ totalEvents }) => [totalEvents, "all time"] },
  {
    id: "minute",
    label: "Events this minute",
    show: ({ eventsThisMinute, eventsPerMinute }) => [
      eventsThisMinute,
      `${count(eventsPerMinute.at(-2)?.count ?? null)} in the one before`,
    ],
  },
  {
    id: "window",
    label: ({ window }) => window.label,
    show: (payload) => [inWindow(payload), `since ${payload.window.unit.brief(bins(payload)[0]?.from ?? "")}`],
  },
  {
    id: "busiest",
    label: ({ window }) => `Busiest ${window.unit.id}`,
    show: (payload) => {
      const { events, from } = highest(bins(payload), "events");
      return events ? [number(events), payload.window.unit.brief(String(from))] : [null, "no events"];
    },
  },
  { id: "top", label: "Top event type", kind: "percent", show: (payload) => top(types(payload), "type", "no events") },
  {
    id: "invalid",
    label: "Invalid events",
    show: ({ invalidEvents, totalEvents }) => {
      const share = percentage(invalidEvents, invalidEvents + totalEvents);
      return [invalidEvents, invalidEvents ? `${percent(share)} of all sent` : "none was refused"];
    },
  },
];

/** @param {Shown} payload */
function remark(payload) {
  if (payload.totalEvents === 0) return "Nothing is stored yet: every event that came was refused.";
  return inWindow(payload) === 0 ? `No events in ${payload.window.words}. What is stored is older.` : "";
}

const example = { eventType: "page_view", userId: "123", timestamp: "2024-01-01T12:00:00Z", metadata: { page: "home" } };

/** What no choice changes. @type {Panel<Shown, Topic>} */
const ABOUT = {
  id: "webhooks",
  title: "Webhooks",
  hint: "What other services report, by type and time of receipt.",
  source: { topic: "webhooks", snapshot: "/webhooks" },
  tiles,
  cards,
  remark,
  isEmpty: (payload) => payload.totalEvents === 0 && payload.invalidEvents === 0 && !payload.refused?.length,
  summary: (payload) => {
    const [first] = types(payload);
    const most = first ? `, most of type ${first.type}` : "";
    return `${count(inWindow(payload))} events in ${payload.window.words}${most}; ${count(payload.eventsThisMinute)} this minute.`;
  },
  guide: {
    title: "No webhook events yet",
    steps: [synthetic("webhooks"), { words: "One of your own:", code: curl("POST", "/webhook", example) }],
  },
};

/** @type {Source} */
const REFUSALS = { topic: "refusals", snapshot: "/events/refused" };

/** @type {MakePanel<Shown, Topic>} */
export function makeWebhooks(store, changed) {
  const picker = makeSwitch("webhooks", "Window", WINDOWS, changed);
  const menu = makeMenu("Export", FORMATS);
  const query = new Query(store, changed, {
    name: "webhooks events",
    key: () => picker.chosen().id,
    run: (id) => ask(`/events?filter=${id}&limit=${NEWEST}`),
  });
  const memo = makeMemo();

  function showMenu() {
    const { id, words } = picker.chosen();
    menu.show(`All events of ${words}`, FORMATS.map((format) => addressed(`/export/${format.id}?filter=${id}`)));
  }

  return {
    ...ABOUT,
    bar: element("div", { class: "pickers" }, picker.bar, menu.node),
    sources: () => [REFUSALS],
    read: picker.read,
    enter: () => query.enter(),
    complete({ link, snapshot }, now) {
      if (query.follow(snapshot, now)) showMenu();
      if (!snapshot) return { link, snapshot };
      const events = query.held(now);
      const { reason } = query.failure;
      const window = picker.chosen();
      /** @type {Snapshot<Payloads["Success_RefusedDeliveries_"]> | undefined} */
      const refusals = store.snapshot(REFUSALS.topic);
      const payload = memo([snapshot.payload, window, events?.payload, reason, refusals?.payload], () => ({
        ...snapshot.payload,
        window,
        refused: refusals?.payload.data.refusals,
        newest: { of: events?.payload.of, events: events?.payload.data.events, reason },
      }));
      const receivedAt = Math.min(snapshot.receivedAt, events?.receivedAt ?? Infinity);
      return { link: query.waiting(link), snapshot: { payload, receivedAt } };
    },
  };
}
