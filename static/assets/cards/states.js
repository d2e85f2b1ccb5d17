/** The state of a panel, and its message about that. */

import { ago, count } from "../figures/format.js";
import { STALE_MS } from "../wire/store.js";

/** @import { Link, Snapshot } from "../wire/store.js" */
/** @typedef {"loading" | "empty" | "ready" | "stale" | "offline"} State */
/** @typedef {{title: string, words: string}} Message */

/** A connected server that has sent nothing by then is in trouble. */
const PATIENCE_MS = 10_000;

/**
 * @param {Link} link @param {Snapshot | undefined} snapshot @param {boolean} isEmpty whether nothing was ever stored
 * @param {number} now @returns {State}
 */
export function panelState(link, snapshot, isEmpty, now) {
  if (link.connection === "offline") return "offline";
  if (!snapshot) return "loading";
  if (now - snapshot.receivedAt > STALE_MS) return "stale";
  return isEmpty ? "empty" : "ready";
}

/**
 * @param {State} state @param {Link} link @param {Snapshot | undefined} snapshot @param {number} now
 * @returns {Message | null} null if there is nothing to say
 */
export function stateMessage(state, link, snapshot, now) {
  const age = snapshot ? `These numbers arrived ${ago(now - snapshot.receivedAt)}. ` : "";
  if (state === "offline")
    return { title: "The server is unavailable", words: `${link.reason} ${age}${retryWords(link, now)}` };
  if (state === "stale")
    return { title: "No fresh numbers", words: `${age}The server is connected, but sends nothing new. ${link.reason}` };
  if (state === "loading" && now - link.since > PATIENCE_MS)
    return { title: "No numbers yet", words: `The server is connected, but has not sent any. ${link.reason}` };
  return null;
}

/** @param {Link} link @param {number} now */
function retryWords({ retryAt }, now) {
  const seconds = Math.ceil((retryAt - now) / 1000);
  return seconds > 0 ? `Next try in ${count(seconds)} s.` : "Trying now…";
}
