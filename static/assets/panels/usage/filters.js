/** Which people's clicks, on which days, the reader wants to see. Each user has a cookie that keeps this for a week. */

import { isDay } from "../../figures/days.js";
import { dayWithYear } from "../../figures/format.js";
import { readCookie, writeCookie } from "../../wire/cookies.js";
import { FILTERS } from "../../wire/session.js";

/** @import { Option } from "../../widgets/select.js" */
/** @import { User } from "../../wire/session.js" */
/** @typedef {{startDate: string, endDate: string, ageGroup: string, gender: string}} Filters an empty day is open */

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

/** @param {User | null} user @returns {Filters} the valid filters in the user's cookie */
export function keptFilters(user) {
  if (!user) return NO_FILTERS;
  const kept = readCookie(`${FILTERS}${user.id}`);
  const dayIn = (/** @type {unknown} */ value) => (typeof value === "string" && isDay(value) ? value : "");
  const startDate = dayIn(kept.startDate);
  const endDate = dayIn(kept.endDate) >= startDate ? dayIn(kept.endDate) : "";
  const idIn = (/** @type {Option[]} */ options, /** @type {unknown} */ value) => options.find(({ id }) => id === value)?.id ?? ALL;
  return { startDate, endDate, ageGroup: idIn(AGE_GROUPS, kept.ageGroup), gender: idIn(GENDERS, kept.gender) };
}

/** @param {User | null} user @param {Filters} filters */
export function keepFilters(user, filters) {
  if (user) writeCookie(`${FILTERS}${user.id}`, filters, WEEK_SECONDS);
}

/** @param {Filters} filters @returns {{key: keyof Filters, words: string}[]} those that exclude something */
export function active(filters) {
  const keys = /** @type {(keyof Filters)[]} */ (Object.keys(NO_FILTERS));
  return keys.filter((key) => filters[key] !== NO_FILTERS[key]).map((key) => ({ key, words: WORDS[key](filters[key]) }));
}

/** @type {Record<keyof Filters, (value: string) => string>} */
const WORDS = {
  startDate: (value) => `From ${dayWithYear(value)}`,
  endDate: (value) => `Until ${dayWithYear(value)}`,
  ageGroup: (value) => AGE_GROUPS.find(({ id }) => id === value)?.label ?? value,
  gender: (value) => value,
};

/** @param {Filters} filters @param {string} feature or none @returns {"/analytics" | `/analytics?${string}`} */
export function analyticsOf(filters, feature) {
  const query = new URLSearchParams(active(filters).map(({ key }) => [key, filters[key]]));
  if (feature) query.set("feature", feature);
  return query.size ? `/analytics?${query}` : "/analytics";
}
