// @ts-check
/**
 * Items and transfers: how many per unit of time, who owns what, and the forms that change it. `contracts.md` §4.
 * One topic brings the newest items, transfers and owners, two more the statistics of the picked unit. Older items, and
 * the one that is looked at, are fetched, and again after every frame.
 */

import { count, day, decimal } from "../../figures/format.js";
import { amount, sum } from "../../figures/rows.js";
import { binsUpTo, HOUR, perUnit, unitOf, UNITS } from "../../figures/units.js";
import { element } from "../../widgets/element.js";
import { makeCode } from "../../widgets/guide.js";
import { makePager } from "../../widgets/pager.js";
import { makeSwitch } from "../../widgets/switch.js";
import { HOLD_MS, makeAnswer } from "../../wire/query.js";
import { list, number, object, text } from "../../wire/read.js";
import { makeAdditions } from "./additions.js";
import { makeItem, ownerOf } from "./item.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Panel } from "../../cards/panel.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Row } from "../../figures/rows.js" */
/** @import { Json } from "../../wire/read.js" */
/** @import { Snapshot } from "../../wire/store.js" */

/** Of items and transfers come with the topic, and are on a page. */
const NEWEST = 50;
/** Of owners and base items come with the topic. */
const CHOICES = 100;

/** Of the demo rows, for examples while there is nothing else. */
const SOMEBODY = "30f6df32-03cf-4779-833b-aef9b1e3f61f";
const SOME_BASE_ITEM = "8645a131-a7ae-4569-bb3c-1f1c7ae86829";
const SOME_ITEM = "850bbe50-4686-4026-9de0-94ba4b8bafa7";

/** For what is picked in a card; the panel sets it. */
let picked = () => {};
const item = makeItem(() => picked());
const pager = makePager(() => picked());

// Reading the payload: the topic's, and beside it the `unit`, the bins of `creations` and `moves` in it and the `moment`
// up to which they are known, the `page` of items, and the `item` that is looked at.

/** @param {Json} payload */
const unit = (payload) => unitOf(payload.unit);

/**
 * @param {"creations" | "moves"} key
 * @returns {(payload: Json) => Row[]}
 */
const bins = (key) => (payload) =>
  payload[key] === undefined ? [] : binsUpTo(unit(payload), list(payload[key]), number(payload.moment) ?? Date.now());

/**
 * @param {"creations" | "moves"} key
 * @returns {(payload: Json) => string}
 */
const span = (key) => (payload) => {
  const { id, words, full } = unit(payload);
  const drawn = bins(key)(payload);
  const said = `Per ${id}, ${words}, UTC`;
  if (!drawn.length || sum(drawn, "count")) return said;
  const [newest] = list(payload[key]);
  return newest ? `${said}: none; the newest: ${full(text(newest.time))}` : `${said}: none so far`;
};

/**
 * @param {"creations" | "moves"} key
 * @param {{id: string, title: string, name: string, colour: string}} of
 * @returns {Card}
 */
const chart = (key, { id, title, name, colour }) => ({
  id,
  title,
  hint: span(key),
  width: "half",
  bare: (payload) => (payload[key] === undefined ? "Asking the server…" : `No ${name.toLowerCase()} so far`),
  columns: [
    { key: "from", label: "From (UTC)", kind: "instant", write: (row) => unitOf(row.unit).brief(String(row.from)) },
    { key: "count", label: name, kind: "count" },
  ],
  rows: bins(key),
  drawing: perUnit("count", name, colour),
});

/** @type {Card} */
const items = {
  id: "items",
  title: "Items",
  hint: (payload) => `The newest first; ${count(number(payload.itemCount))} in all, page ${pager.page()}`,
  width: "wide",
  bare: (payload) => text(object(payload.page).reason) || "No items yet: create one with New",
  tools: pager.tools,
  columns: [
    { key: "description", label: "Item", kind: "name", pick: { chosen: item.chosen, choose: look, by: "id" } },
    { key: "owner", label: "Owner", kind: "name" },
    { key: "since", label: "Since (UTC)", kind: "instant" },
    { key: "made", label: "Made (UTC)", kind: "instant" },
    { key: "id", label: "Id", kind: "id" },
  ],
  rows: (payload) =>
    list(object(payload.page).items).map((row) => ({
      description: text(row.description),
      owner: ownerOf(row),
      since: text(row.owned_since),
      made: text(row.created_at),
      id: text(row.id),
    })),
};

/** @type {Card} */
const newest = {
  id: "newest",
  title: "Newest transfers",
  hint: (payload) => `The last ${NEWEST} of ${count(number(payload.transferCount))}`,
  width: "full",
  bare: "No transfers yet: pick an item, and give it to somebody",
  columns: [
    { key: "description", label: "Item", kind: "name", pick: { chosen: item.chosen, choose: look, by: "item" } },
    { key: "owner", label: "To", kind: "name" },
    { key: "at", label: "At (UTC)", kind: "instant" },
    { key: "item", label: "Item id", kind: "id" },
    { key: "to", label: "Owner id", kind: "id" },
  ],
  rows: (payload) =>
    list(payload.transfers).map((row) => ({
      description: text(row.description),
      owner: ownerOf(row),
      at: text(row.timestamp),
      item: text(row.item_id),
      to: text(row.owner_id),
      id: text(row.id),
    })),
};

/** @type {Card} */
const program = {
  id: "program",
  title: "From a program",
  hint: "The same over HTTP, and the statistics as server-sent events",
  width: "full",
  content() {
    const titles = ["Create an item", "Transfer it", "Listen to items made", "Listen to transfers"];
    const codes = titles.map(makeCode);
    const titled = codes.map(({ box }, at) => element("div", {}, element("p", {}, titles[at] ?? ""), box));
    return {
      node: element("div", { class: "codes" }, ...titled),
      show: (payload) => commands(payload).forEach((command, at) => codes[at]?.show(command)),
    };
  },
};

/**
 * @param {Json} payload
 * @returns {string[]} with ids that are there
 */
function commands(payload) {
  const looked = object(object(payload.item).held);
  const one = looked.id ? looked : (list(object(payload.page).items)[0] ?? {});
  const other = list(payload.owners).find(({ id }) => id !== one.owner_id);
  const base = text(list(payload.baseItems)[0]?.id) || SOME_BASE_ITEM;
  return [
    curl("POST", "/items", { base_item_id: base }),
    curl("PUT", `/items/${text(one.id) || SOME_ITEM}/ownership`, { to: text(other?.id) || SOMEBODY }),
    ...["item-creation", "transfers"].map((what) => `curl -N \\\n  ${location.origin}/statistics/${what}/${unit(payload).id}`),
  ];
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Json} body without quotes in it that a shell would read
 */
const curl = (method, path, body) =>
  `curl -X ${method} ${location.origin}${path} \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body)}'`;

/**
 * The unit that is not over, beside the one before.
 * @param {"creations" | "moves"} key
 * @param {{id: string, name: string}} of
 * @returns {Tile}
 */
const current = (key, { id, name }) => ({
  id,
  label: (payload) => (unit(payload).steps ? `${name} this ${unit(payload).id}` : `${name} in the newest ms`),
  kind: "count",
  value: (payload) => number(bins(key)(payload)[0]?.count),
  note: (payload) => {
    const before = bins(key)(payload)[1];
    return before ? `${count(amount(before, "count"))} in the one before` : "";
  },
});

/**
 * What happened last, as far as the topic tells.
 * @param {Json} payload
 */
function latest(payload) {
  const [made] = list(payload.items);
  const [moved] = list(payload.transfers);
  const at = Date.parse(text(moved?.timestamp));
  const madeAt = Date.parse(text(made?.created_at));
  if (moved && !(madeAt > at)) return { at, words: `${text(moved.description)} to ${ownerOf(moved)}` };
  return made ? { at: madeAt, words: `${text(made.description)} made` } : null;
}

/** @type {Tile[]} */
const tiles = [
  {
    id: "items",
    label: "Items",
    kind: "count",
    value: (payload) => number(payload.itemCount),
    note: (payload) => {
      const bases = list(payload.baseItems).length;
      if (bases >= CHOICES) return `of ${count(bases)} base items or more`;
      return bases === 1 ? "of 1 base item" : `of ${count(bases)} base items`;
    },
  },
  {
    id: "transfers",
    label: "Transfers",
    kind: "count",
    value: (payload) => number(payload.transferCount),
    note: (payload) => {
      const all = number(payload.itemCount);
      return all ? `${decimal((number(payload.transferCount) ?? 0) / all)} per item` : "";
    },
  },
  {
    id: "owners",
    label: "Owners",
    kind: "count",
    value: (payload) => number(payload.ownerCount),
    note: (payload) => {
      if (list(payload.owners).length < CHOICES) return "to transfer to";
      return number(payload.ownerCount) === null ? "more than 10,000" : `the newest ${CHOICES} are at hand`;
    },
  },
  current("creations", { id: "created", name: "Made" }),
  current("moves", { id: "moved", name: "Moved" }),
  {
    id: "newest",
    label: (payload) => `Newest, ${latest(payload) ? day(new Date(latest(payload)?.at ?? 0).toISOString().slice(0, 10)) : "UTC"}`,
    kind: "clock",
    value: (payload) => latest(payload)?.at ?? null,
    note: (payload) => latest(payload)?.words ?? "nothing yet",
  },
];

/** @type {NonNullable<Panel["detail"]>} */
function detail(store, changed) {
  const picker = makeSwitch("transfers", "Unit", UNITS, changed, HOUR);
  const additions = makeAdditions(item.choose);
  const older = makeAnswer(store, changed, "transfers page", () => pager.before() && `/items?limit=${NEWEST}&before=${pager.before()}`);
  const looked = makeAnswer(store, changed, "transfers item", item.address);
  let wanted = "";
  let wantedAt = 0;
  /** @type {unknown[]} */
  let parts = [];
  /** @type {Snapshot | undefined} */
  let shown;

  const topics = () => ["item-creation", "transfers"].map((what) => `${what}/${picker.chosen().id}`);

  /** @param {number} now */
  function turn(now) {
    if (picker.chosen().id === wanted) return;
    if (wanted) for (const topic of topics()) store.forgetOlder(topic, now); // left behind when it was on screen last
    wanted = picker.chosen().id;
    wantedAt = now;
    window.setTimeout(changed, HOLD_MS);
  }

  /**
   * The page of items, and where the next one begins.
   * @param {Json} topic
   * @param {Snapshot | undefined} fetched
   * @returns {Json}
   */
  function pageOf(topic, fetched) {
    if (pager.before()) return fetched?.payload ?? { reason: older.failure().reason || "Asking the server…" };
    const rows = list(topic.items);
    return { items: rows, next: (number(topic.itemCount) ?? 0) > rows.length ? rows.at(-1)?.id : null };
  }

  /**
   * Up to when the bins are known, by the clock of the server: up to now while every change is pushed, else as of the
   * last answer.
   * @param {Snapshot} topic
   * @param {number[]} heard when the series came
   * @param {boolean} live
   * @param {number} now
   */
  function momentOf(topic, heard, live, now) {
    const known = live ? now : Math.min(topic.receivedAt, ...heard);
    return Date.parse(text(topic.payload.generatedAt)) + known - topic.receivedAt;
  }

  /**
   * @param {Snapshot} topic
   * @param {(Snapshot | undefined)[]} series
   * @param {boolean} live
   * @param {number} now
   * @returns {Snapshot}
   */
  function compose(topic, series, live, now) {
    const fetched = [older, looked].map((one) => one.held(now));
    const { reason } = looked.failure();
    const heard = series.map((one) => one?.receivedAt ?? wantedAt);
    const moment = momentOf(topic, heard, live && !series.includes(undefined), now);
    const bin = unitOf(wanted).steps?.start(moment);
    const next = [topic, ...series, ...fetched, bin, wanted, pager.before(), item.address(), reason, older.failure().reason];
    if (shown && next.every((part, at) => part === parts[at])) return shown;
    parts = next;
    const page = pageOf(topic.payload, fetched[0]);
    pager.show(text(page.next));
    const payload = {
      ...topic.payload,
      unit: wanted,
      creations: series[0]?.payload.rows,
      moves: series[1]?.payload.rows,
      moment,
      page,
      item: { chosen: item.chosen(), limit: item.limit(), held: fetched[1]?.payload, reason },
    };
    const others = fetched.map((one) => one?.receivedAt ?? Infinity);
    return { payload, receivedAt: Math.min(topic.receivedAt, ...heard, ...others) };
  }

  picked = changed;
  window.addEventListener("hashchange", () => {
    picker.read();
    changed();
  });

  return {
    bar: element("div", { class: "pickers" }, picker.bar, additions.node),
    sources: () => topics().map((topic) => ({ topic, snapshot: `/statistics/${topic}` })),
    enter() {
      picker.read();
      older.enter();
      looked.enter();
      shown = undefined;
    },
    complete({ link, snapshot }, now) {
      turn(now);
      additions.show(snapshot?.payload ?? {});
      older.follow(snapshot, now);
      looked.follow(snapshot, now);
      const reason = link.reason || older.failure().reason || (looked.failure().refused ? "" : looked.failure().reason);
      const asked = { ...link, reason };
      const series = topics().map((topic) => store.snapshot(topic));
      const waits = series.includes(undefined) && (!shown || now - wantedAt < HOLD_MS);
      if (snapshot && !waits) shown = compose(snapshot, series, link.connection === "live", now);
      return { link: asked, snapshot: snapshot && shown };
    },
  };
}

/**
 * @param {"creations" | "moves"} key
 * @param {Json} payload
 */
const currently = (key, payload) => count(number(bins(key)(payload)[0]?.count));

/** @param {string} id */
function look(id) {
  item.choose(id);
  requestAnimationFrame(() => document.querySelector("[data-panel=transfers] [data-card=item]")?.scrollIntoView({ block: "nearest" }));
}

/** @type {Panel} */
export const transfers = {
  id: "transfers",
  title: "Transfers",
  hint: "What was made, who has it now, and how often it moves.",
  source: { topic: "transfers", snapshot: "/transfers" },
  tiles,
  cards: [
    chart("creations", { id: "creations", title: "Items made", name: "Items", colour: "--accent" }),
    chart("moves", { id: "moves", title: "Transfers", name: "Transfers", colour: "--series-2" }),
    items,
    item.card,
    newest,
    program,
  ],
  detail,
  isEmpty: (payload) => ["items", "transfers", "owners", "baseItems"].every((key) => !list(payload[key]).length),
  summary: (payload) =>
    `Items: ${count(number(payload.itemCount))}, transfers: ${count(number(payload.transferCount))};` +
    ` this ${unit(payload).id} ${currently("creations", payload)} made and ${currently("moves", payload)} moved.`,
  guide: {
    title: "No items yet",
    steps: [
      {
        words: "Demo rows under the ids that examples use: two owners, two base items, an item of each base item:",
        code: "python -m statsd seed --transfers",
      },
      {
        words: "Synthetic ones, twenty a second, from a second terminal:",
        code: "python -m statsd generate --stream transfers --rate 20",
      },
      {
        words: "A base item of your own; “New” above makes items of it, and owners:",
        code: curl("POST", "/base-items", { description: "a bike" }),
      },
    ],
  },
};
