// @ts-check
/** The card that tells what became of accepted events. */

import { about, bytes, count } from "../../figures/format.js";
import { number, object, text } from "../../wire/read.js";

/** @import { Card, Lead } from "../../cards/card.js" */
/** @import { Json } from "../../wire/read.js" */

/** @type {Card} */
export const storage = {
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

/** @param {Json} payload @returns {Lead[]} */
function storageLead(payload) {
  const { spool, dead_letters } = object(object(payload.health).checks);
  const waiting = number(object(spool).rows);
  const dead = number(dead_letters);
  if (waiting === null) return [{ words: payload.health ? "The server does not report this" : "Loading…", tone: "none" }];
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
