/** Wires the page together. A new panel is a file or folder in panels/, and a name in the list. */

import { makePanel } from "./cards/panel.js";
import { showStatus } from "./cards/status.js";
import { makeLogins } from "./panels/logins.js";
import { makePageviews } from "./panels/pageviews/pageviews.js";
import { makeTransfers } from "./panels/transfers/transfers.js";
import { makeUsage } from "./panels/usage/usage.js";
import { makeWho } from "./panels/usage/who.js";
import { makeWebhooks } from "./panels/webhooks.js";
import { makeAnnouncer } from "./widgets/announcer.js";
import { hooked, setText } from "./widgets/element.js";
import { makeTabs } from "./widgets/tabs.js";
import { mayRead, showWall } from "./wall.js";
import { sharedView } from "./wire/access.js";
import { Feed } from "./wire/feed.js";
import { session } from "./wire/session.js";
import { Store } from "./wire/store.js";

/** @import { MakePanel } from "./cards/panel.js" */

/** @type {MakePanel<any>[]} */
const PANELS = [makeLogins, makeWebhooks, makeUsage, makeTransfers, makePageviews];

// Addresses of the server that stand for a view of a panel.
if (["/login", "/register"].includes(location.pathname)) history.replaceState(null, "", `/#usage${location.pathname}`);

const NOTICE_MS = 12_000;
const store = new Store();
const announcer = makeAnnouncer(hooked("data-announcer"));
/** @type {Feed | undefined} */
let feed;
const panels = PANELS.map((make) => makePanel(make, store, renderSoon, () => feed?.wake())).filter(
  ({ id }) => sharedView === undefined || id === sharedView,
);
/** @type {(typeof panels)[number] | undefined} */
let current;
let nextFrame = 0;

function render() {
  nextFrame = 0;
  if (!mayRead()) return;
  const now = Date.now();
  if (current) feed?.follow(current.sources());
  const view = current?.show(now);
  showStatus(store.link, view?.snapshot, now);
  if (view?.sentence) announcer.say(view.sentence);
}

/** Many changes are drawn once, in the browser's next frame. */
function renderSoon() {
  nextFrame ||= requestAnimationFrame(render);
}

/** @param {(typeof panels)[number]} panel */
function show(panel) {
  current?.section.remove();
  current = panel;
  hooked("data-panels").append(panel.section);
  document.title = `${panel.title} · statsd-live`;
  panel.enter();
  feed ??= new Feed(store, panel.sources(), (sentence) => showNotice(`The server says: ${sentence}`));
  render();
}

function close() {
  feed?.stop();
  current?.section.remove();
  showWall();
}

if (mayRead()) makeTabs(hooked("data-tabs"), panels, show);
else showWall();
if (session.locked && session.user) showAccount();

function showAccount() {
  const who = makeWho();
  who.show();
  hooked("data-status").prepend(who.node);
}

session.addEventListener("change", () => {
  announcer.clear(); // what it said may not be for the next user
  if (!mayRead()) close();
  else if (session.locked) location.reload();
});
store.addEventListener("change", renderSoon);
window.setInterval(renderSoon, 1_000);

const notice = hooked("data-notice");
let noticeTimer = 0;
/** @param {string} words */
function showNotice(words) {
  notice.hidden = false;
  setText(notice, words);
  window.clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

// No field of a payload is checked while the page runs: a server of another version may send what it cannot show.
window.addEventListener("error", ({ error }) => {
  if (error) showNotice("This page cannot show what the server sends. Reload it: the server may have been updated.");
});
