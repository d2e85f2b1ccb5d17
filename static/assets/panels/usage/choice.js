/**
 * The filters and the feature that the reader picked. The address holds the feature (`#usage/trend/date_filter`), a cookie the
 * filters. Who is not logged in is sent to `#usage/login`, and afterwards to where they wanted to go. An invitation is the
 * address `#usage/register/…` with its secret.
 */

import { makeAddress } from "../../widgets/address.js";
import { sharedView } from "../../wire/access.js";
import { session } from "../../wire/session.js";
import { keepFilters, keptFilters } from "./filters.js";

/** @import { Filters } from "./filters.js" */
/** @typedef {"login" | "register"} View */

const FEATURE_CHARACTERS = 64;
/** @type {View[]} */
export const VIEWS = ["login", "register"];

export class Choice {
  #address = makeAddress("usage");
  /** Where the reader wants to go. @type {string[]} */
  #path = [];
  /** The secret of the invitation in the address; empty without one. */
  invitation = "";
  filters = keptFilters(session.user);
  /** The feature whose days were pointed at last. */
  #hovered = "";
  /** The id of the user who is logged in, or has to log in again. */
  #reader = session.user?.id;

  /** The feature whose days are drawn; empty for none. */
  get feature() {
    const [place, name = ""] = this.#path;
    return place === "trend" && isFeature(name) ? name : "";
  }

  /** All that the numbers depend on; empty while nobody is logged in. */
  get key() {
    if (sharedView) return JSON.stringify([sharedView, this.filters, this.feature]);
    return session.user ? JSON.stringify([session.user.id, this.filters, this.feature]) : "";
  }

  get isInAddress() {
    return this.#address.read() !== null;
  }

  /** @param {Partial<Filters>} patch */
  filter(patch) {
    this.filters = { ...this.filters, ...patch };
    keepFilters(session.user, this.filters);
  }

  /** @param {string} feature */
  pick(feature) {
    if (feature !== this.feature) this.#address.push("trend", feature);
    this.#path = ["trend", feature];
  }

  /** @returns {boolean} whether its days were not yet pointed at since this feature was picked */
  hover() {
    const isNew = this.feature !== this.#hovered;
    this.#hovered = this.feature;
    return isNew;
  }

  /**
   * Follows the address.
   * @returns {View | undefined} the view for logging in; none while the address is another panel's
   */
  read() {
    const parts = this.#address.read();
    if (!parts) return undefined;
    const view = VIEWS.find((name) => name === parts[0]);
    if (!view) this.#path = parts;
    this.invitation = (view === "register" && parts[1]) || "";
    const invitation = this.invitation ? [this.invitation] : [];
    this.#address.replace(...(session.user || sharedView ? this.#path : [view ?? "login", ...invitation]));
    return view ?? "login";
  }

  /** Somebody else, or nobody, is logged in. A user who has to log in again goes on where they were; others do not. */
  changeReader() {
    const before = this.#reader;
    this.#reader = session.user?.id ?? (session.ended ? before : undefined);
    this.filters = keptFilters(session.user);
    this.#hovered = "";
    if (before === undefined || before === this.#reader) return;
    this.#path = [];
    this.#address.replace("login");
  }
}

/** @param {string} name taken from the address */
const isFeature = (name) => name.trim() !== "" && [...name].length <= FEATURE_CHARACTERS && !/[\p{Cc}\u2028\u2029]/u.test(name);
