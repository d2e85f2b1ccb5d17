/** The forms for new items, base items and owners, behind one button. */

import { element } from "../../widgets/element.js";
import { makeForm } from "../../widgets/form.js";
import { makePopover } from "../../widgets/popover.js";
import { RowSelect } from "../../widgets/select.js";
import { ask } from "../../wire/ask.js";

/** @import { Topic } from "./composition.js" */

/** @param {(id: string) => void} created is called with the id of a new item */
export function makeAdditions(created) {
  const base = new RowSelect({
    label: "Base item",
    id: "base-item",
    ask: (query) => ask(`/base-items?${query}`),
    rows: (page) => page.base_items,
    write: (/** @type {Payloads["OverviewBaseItem"]} */ row) => row.description,
  });
  const item = makeForm({
    id: "item",
    label: "Create",
    fields: base.fields,
    order: () => ({ method: "POST", address: "/items", body: { base_item_id: base.value } }),
    done(/** @type {Payloads["CreatedItem"]} */ stored) {
      created(stored.id);
      return `Created: ${base.words}.`;
    },
  });
  const { node } = makePopover(
    "New",
    titled("New item", item.node),
    titled("New base item", makeBaseItem((row) => base.choose(row))),
    titled("New owner", makeOwner()),
  );
  node.dataset.new = "";
  return { node, show: (/** @type {Topic | undefined} */ topic) => base.show(topic?.baseItems ?? []) };
}

/** @param {(row: Payloads["BaseItem"]) => void} created */
function makeBaseItem(created) {
  const input = makeTextInput({ required: "", placeholder: "a bike" });
  return makeForm({
    id: "base-item",
    label: "Add",
    fields: [element("label", { class: "field" }, "Description", input)],
    order: () => ({ method: "POST", address: "/base-items", body: { description: input.value } }),
    done(/** @type {Payloads["BaseItem"]} */ stored) {
      input.value = "";
      created(stored);
      return `Added: ${stored.description}. An item of it can be created above.`;
    },
  }).node;
}

function makeOwner() {
  const input = makeTextInput({ placeholder: "without one: just an id" });
  return makeForm({
    id: "owner",
    label: "Add",
    fields: [element("label", { class: "field" }, "Name", input)],
    order: () => ({ method: "POST", address: "/owners", body: input.value ? { name: input.value } : {} }),
    done(/** @type {Payloads["Owner"]} */ stored) {
      input.value = "";
      return `Added: ${stored.name || stored.id}.`;
    },
  }).node;
}

/** @param {Record<string, string>} attributes */
const makeTextInput = (attributes) => element("input", { type: "text", autocomplete: "off", ...attributes });

/** @param {string} title @param {HTMLElement} form */
const titled = (title, form) => element("div", { class: "titled" }, element("h3", {}, title), form);
