/** The card of one item: facts, the form that transfers it, and its history. */

import { LONGEST_ID, makeSheet, tableLines } from "../../cards/table.js";
import { count, NONE, shorten, toTheSecond } from "../../figures/format.js";
import { makeExport } from "../../widgets/csv.js";
import { button, element, setText } from "../../widgets/element.js";
import { makeForm } from "../../widgets/form.js";
import { RowSelect } from "../../widgets/select.js";
import { ask } from "../../wire/ask.js";

/** @import { ContentCard } from "../../cards/card.js" */
/** @import { Column } from "../../cards/table.js" */
/** @import { Row } from "../../figures/rows.js" */
/** @import { Shown } from "./composition.js" */
/** @typedef {Payloads["ItemWithHistory"]} Item */

const SHORT_HISTORY = 20;
const LONGER = 5;
/** The most that `GET /items/{id}` gives. */
const LONGEST_HISTORY = 1_000;

/** @type {Column[]} */
const COLUMNS = [
  { key: "owner", label: "Owner", kind: "name" },
  { key: "timestamp", label: "Since (UTC)", kind: "instant" },
  { key: "owner_id", label: "Owner id", kind: "id" },
];

/** Empty without an owner. @param {{owner_id: string | null, owner_name: string | null}} row */
export const ownerOf = (row) => row.owner_name || shorten(row.owner_id ?? "", LONGEST_ID);

/** The card, and the item that it shows. @param {() => void} changed */
export function makeItem(changed) {
  let chosen = "";
  let limit = SHORT_HISTORY;

  /** @param {string} id */
  function choose(id) {
    if (id !== chosen) limit = SHORT_HISTORY;
    chosen = id;
    changed();
  }

  function lengthen() {
    limit = Math.min(limit * LONGER, LONGEST_HISTORY);
    changed();
  }

  return {
    choose,
    chosen: () => chosen,
    limit: () => limit,
    /** What its history depends on; empty while no item is chosen. */
    key: () => (chosen ? `${chosen}?limit=${limit}` : ""),
    /** @type {ContentCard<Shown>} */
    card: {
      id: "item",
      title: "Item",
      hint: ({ item }) => item.held?.description ?? (chosen ? "" : "Pick one from a list to see who had it, and to transfer it"),
      width: "side",
      content: () => makeContent(lengthen),
    },
  };
}

/** @param {() => void} lengthen the history */
function makeContent(lengthen) {
  const facts = makeFacts(["Item", "Made", "Owner", "Since"]);
  const transfer = makeTransfer();
  const history = makeHistory(lengthen);
  const note = element("p", { class: "hint" });
  const whole = element("div", { class: "item" }, facts.node, transfer.node, history.node);

  /** @param {Shown} payload */
  function show({ item: { chosen, limit, held, reason }, owners }) {
    whole.hidden = history.save.hidden = !held;
    note.hidden = Boolean(held) || !chosen;
    setText(note, reason || "Loading…");
    if (!held) return;
    const since = held.owned_since ? toTheSecond(held.owned_since) : NONE;
    facts.show([held.id, toTheSecond(held.created_at), ownerOf(held) || "nobody yet", since]);
    transfer.show(held, owners);
    history.show(held.history, limit);
  }

  return { node: element("div", {}, note, whole), show, tools: [history.save] };
}

/** @param {() => void} lengthen */
function makeHistory(lengthen) {
  const { sheet, show: showTable } = makeSheet("History", COLUMNS);
  const older = button({ class: "tool", "data-longer": "" }, "Older…", lengthen);
  const heading = element("h3", {}, "History");
  const node = element("div", {}, heading, sheet, older);
  /** @type {Row[]} */
  let rows = [];
  const save = makeExport("transfers-history", "History", () => tableLines(COLUMNS, rows));
  return {
    node,
    save,
    /** @param {Item["history"]} history @param {number} limit */
    show(history, limit) {
      rows = history.map((row) => ({ ...row, owner: ownerOf(row) }));
      node.hidden = !rows.length;
      showTable(rows);
      const isWhole = rows.length < limit;
      older.hidden = isWhole || limit === LONGEST_HISTORY;
      setText(heading, isWhole || !older.hidden ? "History" : `History, the newest ${count(LONGEST_HISTORY)}`);
    },
  };
}

function makeTransfer() {
  let id = "";
  let to = "";
  const owner = new RowSelect({
    label: "Transfer to",
    id: "owner",
    ask: (query) => ask(`/owners?${query}`),
    rows: (page) => page.owners,
    write: (/** @type {Payloads["OverviewOwner"]} */ { id, name }) => (name ? `${name} · ${shorten(id, LONGEST_ID)}` : id),
  });
  const form = makeForm({
    id: "transfer",
    label: "Transfer",
    fields: owner.fields,
    order() {
      to = owner.words;
      return { method: "PUT", address: `/items/${id}/ownership`, body: { to: owner.value } };
    },
    done: () => `Transferred to ${to}.`,
  });
  return {
    node: form.node,
    /** @param {Item} item @param {Payloads["OverviewOwner"][]} owners */
    show(item, owners) {
      if (item.id !== id) form.clear();
      id = item.id;
      owner.show(owners, item.owner_id ?? "");
    },
  };
}

/** @param {string[]} names */
function makeFacts(names) {
  const values = names.map((name) => element("dd", { "data-fact": name }));
  const pairs = names.flatMap((name, at) => [element("dt", {}, name), values[at] ?? ""]);
  return {
    node: element("dl", { class: "facts" }, ...pairs),
    /** @param {string[]} words */
    show: (words) => values.forEach((value, at) => setText(value, words[at] ?? "")),
  };
}
