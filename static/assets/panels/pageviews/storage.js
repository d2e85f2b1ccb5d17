/** The card that tells what became of accepted events. */

import { about, bytes, count } from "../../figures/format.js";

/** @import { Card, Lead } from "../../cards/card.js" */
/** @import { Shown } from "./report.js" */

/** @type {Card<Shown>} */
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
  rows: ({ health }) => {
    const checks = health?.checks;
    return [
      { what: "Server", now: health?.status ?? null },
      { what: "Database", now: checks?.database ?? null },
      { what: "Disk queue", now: checks?.spool.state ?? null },
      { what: "Waiting events", now: count(checks?.spool.rows ?? null) },
      { what: "Waiting bytes", now: bytes(checks?.spool.bytes ?? null) },
      { what: "Dead letters", now: count(checks?.dead_letters ?? null) },
    ];
  },
};

/** @param {Shown} payload @returns {Lead[]} */
function storageLead({ health }) {
  if (!health?.checks) return [{ words: health ? "The server does not report this" : "Loading…", tone: "none" }];
  const { spool, dead_letters: dead } = health.checks;
  const { rows: waiting, oldest_seconds: oldest } = spool;
  /** @type {Lead[]} */
  const leads = [];
  if (health.reason) leads.push({ words: sentence(health.reason), tone: health.status === "degraded" ? "warn" : "bad" });
  if (waiting === 0) leads.push({ words: "Every accepted event is stored", tone: health.reason ? "none" : "good" });
  else {
    const wait = waiting === 1 ? "accepted event waits" : "accepted events wait";
    leads.push({ words: `${count(waiting)} ${wait} on disk for the database (oldest ${about(oldest)})`, tone: "warn" });
  }
  if (dead)
    leads.push({ words: `${count(dead)} ${dead === 1 ? "event was" : "events were"} refused by the database`, tone: "warn" });
  return leads;
}

/** @param {string} words @returns {string} */
const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);
