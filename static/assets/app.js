// @ts-check
/** What is wired to what. A new panel is one file in panels/ and one name in the list. */

import { makePanel } from "./cards/panel.js";
import { showStatus } from "./cards/status.js";
import { logins } from "./panels/logins.js";
import { pageviews } from "./panels/pageviews/pageviews.js";
import { transfers } from "./panels/transfers/transfers.js";
import { watch } from "./panels/usage/track.js";
import { usage } from "./panels/usage/usage.js";
import { webhooks } from "./panels/webhooks.js";
import { makeAnnouncer } from "./widgets/announcer.js";
import { hooked, setText } from "./widgets/element.js";
import { makeTabs } from "./widgets/tabs.js";
import { Feed } from "./wire/feed.js";
import { session } from "./wire/session.js";
import { Store } from "./wire/store.js";

const panels = [logins, webhooks, usage, transfers, pageviews];

/** Addresses of the server that are a view of a panel. */
const VIEWS = new Map([["/login", "/#usage/login"], ["/register", "/#usage/register"]]);
const address = VIEWS.get(location.pathname);
if (address) history.replaceState(null, "", address);

const NOTICE_MS = 12_000;
const store = new Store();
let asked = false;
const announcer = makeAnnouncer(hooked("data-announcer"));
/** @type {Feed | undefined} */
let feed;
const views = new Map(panels.map((panel) => [panel, makePanel(panel, store, renderSoon, () => feed?.wake())]));
/** @type {ReturnType<typeof makePanel> | undefined} */
let view;

function render() {
  const now = Date.now();
  if (view) feed?.follow(view.sources());
  const shown = view?.show(now);
  showStatus(store.link, shown?.snapshot, now);
  if (shown?.sentence) announcer.say(shown.sentence);
}

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
  view?.section.remove();
  view = views.get(panel);
  if (view) hooked("data-panels").append(view.section);
  document.title = `${panel.title} · statsd-live`;
  view?.enter();
  feed ??= new Feed(store, view?.sources() ?? []);
  render();
});

watch();
session.addEventListener("change", announcer.clear); // it may just have said what is not for the next one
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
