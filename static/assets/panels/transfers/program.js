/** The card with commands that do the same over HTTP. */

import { element } from "../../widgets/element.js";
import { curl, makeCode } from "../../widgets/guide.js";

/** @import { ContentCard } from "../../cards/card.js" */
/** @import { Shown } from "./composition.js" */

/** Ids of the demo rows, for examples while there are no others. */
const SOMEBODY = "30f6df32-03cf-4779-833b-aef9b1e3f61f";
const SOME_BASE_ITEM = "8645a131-a7ae-4569-bb3c-1f1c7ae86829";
const SOME_ITEM = "850bbe50-4686-4026-9de0-94ba4b8bafa7";

/** @type {ContentCard<Shown>} */
export const program = {
  id: "program",
  title: "From a program",
  hint: "The same over HTTP, and the statistics as server-sent events",
  width: "full",
  content() {
    const titles = ["Create an item", "Transfer it", "Listen to items made", "Listen to transfers"];
    const codes = titles.map(makeCode);
    const titled = codes.map(({ node }, at) => element("div", {}, element("p", {}, titles[at] ?? ""), node));
    return {
      node: element("div", { class: "codes" }, ...titled),
      show: (payload) => commands(payload).forEach((command, at) => codes[at]?.show(command)),
    };
  },
};

/** @param {Shown} payload @returns {string[]} with ids that exist */
function commands({ item: { held }, page, owners, baseItems, unit }) {
  const item = held ?? page.items?.[0];
  const owner = owners.find(({ id }) => id !== item?.owner_id);
  return [
    curl("POST", "/items", { base_item_id: baseItems[0]?.id ?? SOME_BASE_ITEM }),
    curl("PUT", `/items/${item?.id ?? SOME_ITEM}/ownership`, { to: owner?.id ?? SOMEBODY }),
    ...["item-creation", "transfers"].map((kind) => `curl -N \\\n  ${location.origin}/statistics/${kind}/${unit.id}`),
  ];
}
