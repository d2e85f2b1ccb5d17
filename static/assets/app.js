// @ts-check
/** What is wired to what. A new panel is one file in panels/ and one name in the list. */

import { makeAnnouncer } from "./announcer.js";
import { hooked, setText } from "./element.js";
import { Feed } from "./feed.js";
import { makePanel } from "./panel.js";
import { logins } from "./panels/logins.js";
import { showStatus } from "./status.js";
import { Store } from "./store.js";
import { makeTabs } from "./tabs.js";

const panels = [logins];

const NOTICE_MS = 12_000;
const store = new Store();
const announce = makeAnnouncer(hooked("data-announcer"));
/** @type {Feed | undefined} */
let feed;
let current = logins;
const views = new Map(panels.map((panel) => [panel, makePanel(panel, () => feed?.wake())]));
hooked("data-panels").append(...[...views.values()].map((view) => view.section));

function render() {
  const now = Date.now();
  const snapshot = store.snapshot(current.source.topic);
  showStatus(store.link, snapshot, now);
  const sentence = views.get(current)?.show(store.link, snapshot, now);
  if (sentence) announce(sentence);
}

let asked = false;
/** Many changes, one drawing: before the next frame the browser shows. */
function renderSoon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    render();
  });
}

makeTabs(hooked("data-tabs"), panels, (panel) => {
  current = panel;
  for (const [other, view] of views) view.section.hidden = other !== panel;
  document.title = `${panel.title} · statsd-live`;
  if (feed) feed.follow(panel.source);
  else feed = new Feed(store, panel.source);
  render();
});

store.addEventListener("change", renderSoon);
window.setInterval(renderSoon, 1_000);

const notice = hooked("data-notice");
let noticeEnds = 0;
store.addEventListener("notice", (event) => {
  if (!(event instanceof CustomEvent)) return;
  notice.hidden = false;
  setText(notice, `The server says: ${event.detail}`);
  window.clearTimeout(noticeEnds);
  noticeEnds = window.setTimeout(() => (notice.hidden = true), NOTICE_MS);
});
