/** What is counted: items made and transfers per unit of time, and the tiles. */

import { count, day, decimal } from "../../figures/format.js";
import { number, sum } from "../../figures/rows.js";
import { binsUpTo, perBin, unitOf } from "../../figures/units.js";
import { ownerOf } from "./item.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Tile } from "../../cards/tiles.js" */
/** @import { Row } from "../../figures/rows.js" */
/** @import { Shown } from "./composition.js" */
/** @typedef {"creations" | "moves"} Series */

/** The topic brings at most so many owners and base items. */
const CHOICES = 100;

/** @param {Series} key @returns {(payload: Shown) => Row[]} */
const bins = (key) => (payload) => (payload[key] ? binsUpTo(payload.unit, payload[key], payload.moment) : []);

/** @param {Series} key @returns {(payload: Shown) => string} */
const span = (key) => (payload) => {
  const { id, words, full } = payload.unit;
  const drawn = bins(key)(payload);
  const units = `Per ${id}, ${words}, UTC`;
  if (!drawn.length || sum(drawn, "count")) return units;
  const newest = payload[key]?.[0];
  return newest ? `${units}: none; the newest: ${full(newest.time)}` : `${units}: none so far`;
};

/** @param {Series} key @param {string} title @param {string} name @param {string} colour @returns {Card<Shown>} */
const chart = (key, title, name, colour) => ({
  id: key,
  title,
  hint: span(key),
  width: "half",
  bare: (payload) => (payload[key] ? `No ${name.toLowerCase()} so far` : "Loading…"),
  columns: [
    { key: "from", label: "From (UTC)", kind: "instant", write: (row) => unitOf(row.unit).brief(String(row.from)) },
    { key: "count", label: name, kind: "count" },
  ],
  rows: bins(key),
  drawing: perBin("columns", "count", name, colour, (row) => {
    const unit = unitOf(row?.unit);
    return { unit, words: unit.words };
  }),
});

/** The present unit. @param {Series} key @param {string} id @param {string} name @returns {Tile<Shown>} */
const current = (key, id, name) => ({
  id,
  label: ({ unit }) => (unit.steps ? `${name} this ${unit.id}` : `${name} in the newest ms`),
  show: (payload) => {
    const [present, before] = bins(key)(payload);
    return [number(present?.count), before ? `${count(number(before.count))} in the one before` : ""];
  },
});

/** The last thing that happened. @param {Shown} payload */
function latest({ items: [item], transfers: [transfer] }) {
  const createdAt = Date.parse(item?.created_at ?? "");
  const at = Date.parse(transfer?.timestamp ?? "");
  if (transfer && !(createdAt > at)) return { at, words: `${transfer.description} to ${ownerOf(transfer)}` };
  return item ? { at: createdAt, words: `${item.description} made` } : null;
}

/** @type {Tile<Shown>[]} */
export const tiles = [
  {
    id: "items",
    label: "Items",
    show: ({ itemCount, baseItems: { length: bases } }) => {
      if (bases >= CHOICES) return [itemCount, `of ${count(bases)} base items or more`];
      return [itemCount, bases === 1 ? "of 1 base item" : `of ${count(bases)} base items`];
    },
  },
  {
    id: "transfers",
    label: "Transfers",
    show: ({ itemCount: items, transferCount: moves }) => [moves, items ? `${decimal(moves / items)} per item` : ""],
  },
  {
    id: "owners",
    label: "Owners",
    show: ({ ownerCount, owners }) => {
      if (owners.length < CHOICES) return [ownerCount, "to transfer to"];
      return [ownerCount, ownerCount === null ? "more than 10,000" : `the newest ${CHOICES} are at hand`];
    },
  },
  current("creations", "created", "Made"),
  current("moves", "moved", "Moved"),
  {
    id: "newest",
    label: (payload) => `Newest, ${latest(payload) ? day(new Date(latest(payload)?.at ?? 0).toISOString()) : "UTC"}`,
    kind: "clock",
    show: (payload) => {
      const last = latest(payload);
      return last ? [last.at, last.words] : [null, "nothing yet"];
    },
  },
];

export const charts = [
  chart("creations", "Items made", "Items", "--accent"),
  chart("moves", "Transfers", "Transfers", "--series-2"),
];

/** @param {Shown} payload */
export function summary(payload) {
  const present = (/** @type {Series} */ key) => count(number(bins(key)(payload)[0]?.count));
  const totals = `Items: ${count(payload.itemCount)}, transfers: ${count(payload.transferCount)}`;
  return `${totals}; this ${payload.unit.id} ${present("creations")} made and ${present("moves")} moved.`;
}
