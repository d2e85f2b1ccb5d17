// @ts-check
/** Whose clicks of which days the reader wants to see; kept for a week in a cookie of the user's own. `contracts.md` §3.3. */

import { isDay } from "../../figures/days.js";
import { day } from "../../figures/format.js";
import { readCookie, writeCookie } from "../../wire/cookies.js";
import { text } from "../../wire/read.js";
import { FILTERS } from "../../wire/session.js";

/** @typedef {{startDate: string, endDate: string, ageGroup: string, gender: string}} Filters empty days are open */
/** @typedef {{id: string, label: string}} Option */
/** @typedef {{key: keyof Filters, words: string}} Active */

const WEEK_SECONDS = 7 * 24 * 60 * 60;
const ALL = "All";

/** @type {Option[]} */
export const AGE_GROUPS = [
  { id: ALL, label: "All ages" },
  { id: "<18", label: "Under 18" },
  { id: "18-40", label: "18-40" },
  { id: ">40", label: "Over 40" },
];

/** @type {Option[]} */
export const GENDERS = [ALL, "Male", "Female", "Other"].map((id) => ({ id, label: id }));

/** @type {Filters} */
export const NO_FILTERS = { startDate: "", endDate: "", ageGroup: ALL, gender: ALL };

/**
 * @param {number} user the id
 * @returns {Filters} of what is kept, whatever can be used
 */
export function keptFilters(user) {
  const kept = readCookie(`${FILTERS}${user}`) ?? {};
  const startDate = isDay(text(kept.startDate)) ? text(kept.startDate) : "";
  const endDate = isDay(text(kept.endDate)) && text(kept.endDate) >= startDate ? text(kept.endDate) : "";
  const one = (/** @type {Option[]} */ options, /** @type {unknown} */ id) => options.find((option) => option.id === id)?.id ?? ALL;
  return { startDate, endDate, ageGroup: one(AGE_GROUPS, kept.ageGroup), gender: one(GENDERS, kept.gender) };
}

/**
 * @param {number} user the id
 * @param {Filters} filters
 */
export function keepFilters(user, filters) {
  writeCookie(`${FILTERS}${user}`, filters, WEEK_SECONDS);
}

/**
 * @param {Filters} filters
 * @returns {Active[]} those that leave something out
 */
export function active(filters) {
  const keys = /** @type {(keyof Filters)[]} */ (Object.keys(NO_FILTERS));
  return keys.filter((key) => filters[key] !== NO_FILTERS[key]).map((key) => ({ key, words: WORDS[key](filters[key]) }));
}

/** @type {Record<keyof Filters, (value: string) => string>} */
const WORDS = {
  startDate: (value) => `From ${day(value, "medium")}`,
  endDate: (value) => `Until ${day(value, "medium")}`,
  ageGroup: (value) => AGE_GROUPS.find(({ id }) => id === value)?.label ?? value,
  gender: (value) => value,
};

/**
 * @param {Filters} filters
 * @param {string} feature of the line; empty for none
 * @returns {string} the address that answers
 */
export function analyticsOf(filters, feature) {
  const query = new URLSearchParams(active(filters).map(({ key }) => [key, filters[key]]));
  if (feature) query.set("feature", feature);
  return query.size ? `/analytics?${query}` : "/analytics";
}
