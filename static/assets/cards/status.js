/** The right side of the header: the connection's state, and the age of the numbers. */

import { ago } from "../figures/format.js";
import { hooked, setText } from "../widgets/element.js";
import { STALE_MS } from "../wire/store.js";

/** @import { Connection, Link, Snapshot } from "../wire/store.js" */

/** @type {Record<Connection, string>} */
const WORDS = { live: "Live", connecting: "Connecting", polling: "Polling", offline: "Offline" };

/** @param {Link} link @param {Snapshot | undefined} snapshot @param {number} now */
export function showStatus(link, snapshot, now) {
  hooked("data-connection").dataset.connection = link.connection;
  setText(hooked("data-connection-label"), WORDS[link.connection]);
  const age = hooked("data-age");
  setText(age, snapshot ? `Updated ${ago(now - snapshot.receivedAt)}` : "");
  age.toggleAttribute("data-old", snapshot !== undefined && now - snapshot.receivedAt > STALE_MS);
}
