/**
 * The site and the day that the reader picked. The address holds both (`#pageviews/example.com/2026-11-21`), the browser
 * remembers the site. A reader who looks at today still looks at today after midnight.
 */

import { isDay, today } from "../../figures/days.js";
import { makeAddress } from "../../widgets/address.js";

const SITE = "pageviews site";

export class Choice {
  #address = makeAddress("pageviews");
  site = stored(() => localStorage.getItem(SITE));
  /** Empty for today, whichever day that is. */
  #day = "";
  /** By the server's clock, once it has said so. */
  today = today();

  get day() {
    return this.#day || this.today;
  }

  /** @param {string} today by the server's clock */
  setToday(today) {
    this.today = today;
    if (this.#day === today) this.#day = "";
    this.#showInAddress();
  }

  /** @param {{site?: string, day?: string}} picked by the reader: a new entry in the browser's history */
  pick({ site = this.site, day = this.day }) {
    if (site === this.site && day === this.day) return;
    this.#address.push(site, day);
    this.#set(site, day);
  }

  /** @param {string} site shown until the reader picks one */
  suggest(site) {
    this.site = site;
    this.#showInAddress();
  }

  /** Follows the address, if it is this panel's; what is missing in it stays as it is. */
  read() {
    const parts = this.#address.read();
    if (!parts) return;
    const [site = "", day = ""] = parts;
    this.#set(site || this.site, isDay(day) ? day : site ? "" : this.#day);
    this.#showInAddress();
  }

  /** @param {string} site @param {string} day */
  #set(site, day) {
    this.site = site;
    this.#day = day === this.today ? "" : day;
    if (site) stored(() => localStorage.setItem(SITE, site));
  }

  #showInAddress() {
    if (this.site) this.#address.replace(this.site, this.day);
  }
}

/** If the browser forbids storage, only the address remembers the site. @param {() => string | null | void} use */
function stored(use) {
  try {
    return use() || "";
  } catch {
    return "";
  }
}
