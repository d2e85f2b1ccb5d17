/** Select boxes: with a few options, or with rows that come in pages. */

import { button, element, setText } from "./element.js";

/** @import { Answer } from "../wire/ask.js" */
/** @typedef {{id: string, label: string}} Option */
/**
 * @template Row
 * @template Page
 * @typedef {object} Rows
 * @property {string} label
 * @property {string} id
 * @property {(query: string) => Promise<Answer<Page>>} ask for a page, newest first
 * @property {(page: Page) => NoInfer<Row>[]} rows
 * @property {(row: Row) => string} write
 */

/** The topic brings so many, if there are so many. */
const NEWEST = 100;
const PAGE = 1_000;
/** Owner 2 comes before Owner 10. */
const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;

/** @param {Option[]} options */
export const makeOptions = (options) => options.map(({ id, label }) => element("option", { value: id }, label));

/**
 * A select of rows. The newest are offered; the reader can ask for older ones.
 * @template {{id: string}} Row @template {{next: string | null}} Page
 */
export class RowSelect {
  #rows;
  #select;
  #more;
  /** @type {Map<string, string>} */
  #words = new Map();
  /** Where the next page begins; null after the last page. @type {string | null | undefined} */
  #before;
  #excluded = "";
  #shown = "";

  /** @param {Rows<Row, Page>} rows */
  constructor(rows) {
    const { id, label } = rows;
    this.#rows = rows;
    this.#select = element("select", { "data-select": id, required: "" });
    this.#more = button({ class: "tool", "data-more": id, "aria-label": `Older: ${label}`, hidden: "" }, "Older…", () => this.#load());
    this.fields = [element("label", { class: "field" }, label, this.#select), this.#more];
  }

  get value() {
    return this.#select.value;
  }

  /** The name of the chosen row. */
  get words() {
    return this.#words.get(this.value) ?? "";
  }

  /** Offers a new row, and chooses it. @param {Row} row */
  choose(row) {
    this.#offer([row]);
    this.#select.value = row.id;
  }

  /** @param {Row[]} newest @param {string} [except] the id of a row that is not offered */
  show(newest, except = "") {
    this.#excluded = except;
    if (this.#before === undefined && newest.length >= NEWEST) this.#setBefore(newest.at(-1)?.id ?? null);
    this.#offer(newest);
  }

  /** @param {Row[]} rows beside those offered already */
  #offer(rows) {
    for (const row of rows) this.#words.set(row.id, this.#rows.write(row));
    const offered = [...this.#words].filter(([id]) => id !== this.#excluded).sort(([, a], [, b]) => inOrder(a, b));
    const content = JSON.stringify(offered);
    if (content === this.#shown) return;
    this.#shown = content;
    const chosen = this.value;
    const none = { id: "", label: offered.length ? "Choose…" : "None to choose yet" };
    this.#select.replaceChildren(...makeOptions([none, ...offered.map(([id, label]) => ({ id, label }))]));
    this.#select.value = offered.some(([id]) => id === chosen) ? chosen : "";
  }

  async #load() {
    setText(this.#more, "Loading…");
    const { payload, reason } = await this.#rows.ask(`limit=${PAGE}&before=${this.#before}`);
    setText(this.#more, payload ? "Older…" : `Older… (${reason})`);
    if (!payload) return;
    this.#setBefore(payload.next);
    this.#offer(this.#rows.rows(payload));
  }

  /** @param {string | null} before */
  #setBefore(before) {
    this.#before = before;
    this.#more.hidden = before === null;
  }
}
