// @ts-check
/** What is counted: items made and transfers per unit of time, and the tiles. */

import { count, day, decimal } from "../../figures/format.js";
import { amount, sum } from "../../figures/rows.js";
import { binsUpTo, perUnit, unitOf } from "../../figures/units.js";
import { list, number, text } from "../../wire/read.js";
import { ownerOf } from "./item.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Row } from "../../figures/rows.js" */
/** @import { Json } from "../../wire/read.js" */
/** @typedef {"creations" | "moves"} Series */

/** The topic brings at most so many owners and base items. */
const CHOICES = 100;

// The payload: the topic's, with the picked `unit`, its bins of `creations` and `moves`, the `moment` up to which they are
// known, the `page` of items, and the `item` on screen.

/** @param {Json} payload */
export const unit = (payload) => unitOf(payload.unit);

/** @param {Series} key @returns {(payload: Json) => Row[]} */
const bins = (key) => (payload) =>
  payload[key] === undefined ? [] : binsUpTo(unit(payload), list(payload[key]), number(payload.moment) ?? Date.now());

/** @param {Series} key @returns {(payload: Json) => string} */
const span = (key) => (payload) => {
  const { id, words, full } = unit(payload);
  const drawn = bins(key)(payload);
  const units = `Per ${id}, ${words}, UTC`;
  if (!drawn.length || sum(drawn, "count")) return units;
  const [newest] = list(payload[key]);
  return newest ? `${units}: none; the newest: ${full(text(newest.time))}` : `${units}: none so far`;
};

/** @param {Series} key @param {{id: string, title: string, name: string, colour: string}} of @returns {Card} */
const chart = (key, { id, title, name, colour }) => ({
  id,
  title,
  hint: span(key),
  width: "half",
  bare: (payload) => (payload[key] === undefined ? "Loading…" : `No ${name.toLowerCase()} so far`),
  columns: [
    { key: "from", label: "From (UTC)", kind: "instant", write: (row) => unitOf(row.unit).brief(String(row.from)) },
    { key: "count", label: name, kind: "count" },
  ],
  rows: bins(key),
  drawing: perUnit("count", name, colour),
});

/**
 * The present unit, beside the one before.
 * @param {Series} key
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
 * The last thing that happened.
 * @param {Json} payload
 */
function latest(payload) {
  const [item] = list(payload.items);
  const [transfer] = list(payload.transfers);
  const createdAt = Date.parse(text(item?.created_at));
  const at = Date.parse(text(transfer?.timestamp));
  if (transfer && !(createdAt > at)) return { at, words: `${text(transfer.description)} to ${ownerOf(transfer)}` };
  return item ? { at: createdAt, words: `${text(item.description)} made` } : null;
}

/** @type {Tile[]} */
export const tiles = [
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

export const charts = [
  chart("creations", { id: "creations", title: "Items made", name: "Items", colour: "--accent" }),
  chart("moves", { id: "moves", title: "Transfers", name: "Transfers", colour: "--series-2" }),
];

/** @param {Json} payload */
export function summary(payload) {
  const [creations, moves] = /** @type {Series[]} */ (["creations", "moves"]).map((key) => count(number(bins(key)(payload)[0]?.count)));
  const totals = `Items: ${count(number(payload.itemCount))}, transfers: ${count(number(payload.transferCount))}`;
  return `${totals}; this ${unit(payload).id} ${creations} made and ${moves} moved.`;
}
