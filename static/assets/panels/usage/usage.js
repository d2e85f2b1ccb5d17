/**
 * The panel of usage: which features of this dashboard are used, when, and by whom. The topic says that something has
 * changed; the numbers are queried with the reader's own filters.
 */

import { button, hooked } from "../../widgets/element.js";
import { curl, synthetic } from "../../widgets/guide.js";
import { sharedView } from "../../wire/access.js";
import { session } from "../../wire/session.js";
import { makeAnalytics } from "./analytics.js";
import { Choice, VIEWS } from "./choice.js";
import { makeFilterBar } from "./filterbar.js";
import { featuresCard, saveAll, summary, tiles, trendCard } from "./numbers.js";
import { makeSignin } from "./signin.js";
import { makeTracker } from "./track.js";
import { makeWho } from "./who.js";

/** @import { MakePanel, Panel } from "../../cards/panel.js" */
/** @import { Filters } from "./filters.js" */
/** @import { Shown, Topic } from "./numbers.js" */

/** What no choice changes. @type {Omit<Panel<Shown, Topic>, "cards">} */
const ABOUT = {
  id: "usage",
  title: "Usage",
  hint: "Which features of this dashboard are used, when, and by whom.",
  source: { topic: "usage", snapshot: "/usage" },
  tiles,
  summary,
  isEmpty: (payload) => payload.totalClicks === 0,
  guide: {
    title: "No clicks yet",
    steps: [
      {
        words: "Your own: set a filter above or open another panel. Or from a program, with the token that logging in answers:",
        code: curl("POST", "/track", { feature_name: "date_filter" }, "Authorization: Bearer TOKEN"),
      },
      synthetic("usage"),
      {
        words: "Ten sample users and a hundred of their clicks, from the folder that the server was started in:",
        code: "python -m statsd seed --usage",
      },
    ],
  },
};

const hasReader = () => session.user !== null || sharedView !== undefined;

/** @type {MakePanel<Shown, Topic>} */
export function makeUsage(store, changed, clear) {
  const tracker = makeTracker();
  const choice = new Choice();
  const gate = makeGate(choice);
  const who = makeWho();
  const analytics = makeAnalytics(store, changed, choice, tracker);
  const filterBar = makeFilterBar(filter, ...makeButtons(analytics));

  /** @param {Partial<Filters>} patch @param {string} feature that was used, or none */
  function filter(patch, feature) {
    choice.filter(patch);
    tracker.track(feature);
    changed();
  }

  /** @param {string} feature */
  function pick(feature) {
    choice.pick(feature);
    tracker.track("bar_chart_zoom");
    analytics.now();
    changed();
  }

  function showReader() {
    who.show();
    filterBar.show(choice.filters);
  }

  session.addEventListener("change", () => {
    choice.changeReader();
    analytics.forget();
    clear();
    showReader();
    gate.read();
    changed();
    gate.focus();
  });

  return {
    ...ABOUT,
    cards: [
      featuresCard({ choose: pick, chosen: () => choice.feature }),
      trendCard(() => choice.hover() && tracker.track("line_chart_hover")),
    ],
    corner: sharedView || session.locked ? undefined : who.node,
    bar: filterBar.bar,
    gate,
    read: gate.read,
    enter() {
      session.look();
      analytics.enter();
      if (!hasReader() && document.activeElement === document.body) gate.focus();
    },
    complete(known, now) {
      showReader();
      return hasReader() ? analytics.complete(known, now) : { link: known.link, snapshot: undefined };
    },
  };
}

/** @param {ReturnType<typeof makeAnalytics>} analytics */
const makeButtons = (analytics) => [
  button({ class: "action", "data-refresh": "" }, "Refresh", analytics.now),
  button({ class: "action", "data-export": "" }, "Export", () => saveAll(analytics.payload())),
];

/** The forms for logging in, in place of the numbers. @param {Choice} choice */
function makeGate(choice) {
  const signin = makeSignin("While you are logged in, what you use on this page is counted here.");

  /** Moves the focus to where the keyboard goes on, once that is drawn. */
  function focus() {
    if (!choice.isInAddress) return;
    requestAnimationFrame(() => (session.user ? hooked("data-panels").focus({ preventScroll: true }) : signin.focus()));
  }

  window.addEventListener("hashchange", ({ oldURL }) => {
    if (!session.user && VIEWS.some((view) => oldURL.includes(`#usage/${view}`))) focus();
  });
  return {
    node: signin.node,
    isClosed: () => !hasReader(),
    sentence: () => session.ended || "Log in to see the usage.",
    focus,
    read() {
      const view = choice.read();
      if (view) signin.show(view, choice.invitation);
    },
  };
}
