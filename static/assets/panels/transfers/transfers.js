/**
 * The panel of items and transfers: how many per unit of time, who owns what, and the forms that change it. One topic brings
 * the newest items, transfers and owners, two more the statistics of the picked unit. Older items, and the item on screen,
 * are queried.
 */

import { HOUR, UNITS } from "../../figures/units.js";
import { element } from "../../widgets/element.js";
import { curl, synthetic } from "../../widgets/guide.js";
import { makePager } from "../../widgets/pager.js";
import { makeSwitch } from "../../widgets/switch.js";
import { ask } from "../../wire/ask.js";
import { HOLD_MS, Query } from "../../wire/query.js";
import { makeAdditions } from "./additions.js";
import { makeComposition } from "./composition.js";
import { makeItem } from "./item.js";
import { items, NEWEST, newest } from "./lists.js";
import { charts, summary, tiles } from "./numbers.js";
import { program } from "./program.js";
import { makeSeries } from "./series.js";

/** @import { MakePanel, Panel } from "../../cards/panel.js" */
/** @import { Snapshot } from "../../wire/store.js" */
/** @import { Shown, Topic } from "./composition.js" */

/** What no choice changes. @type {Omit<Panel<Shown, Topic>, "cards">} */
const ABOUT = {
  id: "transfers",
  title: "Transfers",
  hint: "What was made, who has it now, and how often it moves.",
  source: { topic: "transfers", snapshot: "/transfers" },
  tiles,
  summary,
  isEmpty: ({ items, transfers, owners, baseItems }) => [items, transfers, owners, baseItems].every((rows) => !rows.length),
  guide: {
    title: "No items yet",
    steps: [
      synthetic("transfers"),
      {
        words: "Demo rows with the ids that examples use, from the folder that the server was started in:",
        code: "python -m statsd seed --transfers",
      },
      {
        words: "A base item of your own; “New” above makes items of it, and owners:",
        code: curl("POST", "/base-items", { description: "a bike" }),
      },
    ],
  },
};

/** @type {MakePanel<Shown, Topic>} */
export function makeTransfers(store, changed) {
  const item = makeItem(changed);
  const pager = makePager(changed);
  const picker = makeSwitch("transfers", "Unit", UNITS, changed, HOUR);
  const additions = makeAdditions(item.choose);
  const series = makeSeries(store, changed, picker.chosen);
  const pages = new Query(store, changed, {
    name: "transfers page",
    key: pager.before,
    run: (before) => ask(`/items?limit=${NEWEST}&before=${before}`),
  });
  const histories = new Query(store, changed, { name: "transfers item", key: item.key, run: (key) => ask(`/items/${key}`) });
  const compose = makeComposition(item, histories, pager, pages, series);
  const pick = { chosen: item.chosen, choose: (/** @type {string} */ id) => show(id) };
  /** @type {Snapshot<Shown> | undefined} */
  let shown;

  return {
    ...ABOUT,
    cards: [...charts, items(pick, pager), item.card, newest(pick), program],
    bar: element("div", { class: "pickers" }, picker.bar, additions.node),
    sources: series.sources,
    read: picker.read,
    enter() {
      pages.enter();
      histories.enter();
      shown = undefined;
    },
    complete({ link, snapshot }, now) {
      series.follow(now);
      additions.show(snapshot?.payload);
      pages.follow(snapshot, now);
      histories.follow(snapshot, now);
      const isWaiting = series.snapshots().includes(undefined) && (!shown || now - series.wantedAt() < HOLD_MS);
      if (snapshot && !isWaiting) shown = compose(snapshot, link.connection === "live", now);
      const { reason, refused } = histories.failure;
      const reasons = [link.reason, pages.failure.reason, refused ? "" : reason];
      return { link: { ...link, reason: reasons.find(Boolean) ?? "" }, snapshot: snapshot && shown };
    },
  };

  /** @param {string} id */
  function show(id) {
    item.choose(id);
    requestAnimationFrame(() => document.querySelector("[data-panel=transfers] [data-card=item]")?.scrollIntoView({ block: "nearest" }));
  }
}
