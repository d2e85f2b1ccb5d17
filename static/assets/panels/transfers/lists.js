/** The lists in which the reader picks an item. */

import { count } from "../../figures/format.js";
import { ownerOf } from "./item.js";

/** @import { Card } from "../../cards/card.js" */
/** @import { Pick } from "../../figures/rows.js" */
/** @import { makePager } from "../../widgets/pager.js" */
/** @import { Shown } from "./composition.js" */

/** The topic brings so many items and transfers; a page has as many. */
export const NEWEST = 50;

/** @param {Pick} pick @param {ReturnType<typeof makePager>} pager @returns {Card<Shown>} */
export const items = (pick, pager) => ({
  id: "items",
  title: "Items",
  hint: (payload) => `The newest first; ${count(payload.itemCount)} in total, page ${pager.page()}`,
  width: "wide",
  bare: (payload) => payload.page.reason || "No items yet: create one with New",
  tools: pager.tools,
  columns: [
    { key: "description", label: "Item", kind: "name", pick: { ...pick, by: "id" } },
    { key: "owner", label: "Owner", kind: "name" },
    { key: "owned_since", label: "Since (UTC)", kind: "instant" },
    { key: "created_at", label: "Made (UTC)", kind: "instant" },
    { key: "id", label: "Id", kind: "id" },
  ],
  rows: (payload) => (payload.page.items ?? []).map((row) => ({ ...row, owner: ownerOf(row) })),
});

/** @param {Pick} pick @returns {Card<Shown>} */
export const newest = (pick) => ({
  id: "newest",
  title: "Newest transfers",
  hint: (payload) => `The last ${NEWEST} of ${count(payload.transferCount)}`,
  width: "full",
  bare: "No transfers yet: pick an item, and give it to somebody",
  columns: [
    { key: "description", label: "Item", kind: "name", pick: { ...pick, by: "item_id" } },
    { key: "owner", label: "To", kind: "name" },
    { key: "timestamp", label: "At (UTC)", kind: "instant" },
    { key: "item_id", label: "Item id", kind: "id" },
    { key: "owner_id", label: "Owner id", kind: "id" },
  ],
  rows: (payload) => payload.transfers.map((row) => ({ ...row, owner: ownerOf(row) })),
});
