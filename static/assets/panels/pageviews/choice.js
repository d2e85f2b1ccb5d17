// @ts-check
/**
 * Which site and which day the reader looks at. The address says both (`#pageviews/example.com/2026-11-21`), so that
 * a view can be shared; the browser remembers the site. Who looks at today stays with it over midnight.
 */

import { isDay, today } from "../../figures/days.js";
import { Address } from "../../widgets/address.js";

export class Choice {
  #panel;
  #address;
  #site;
  /** Empty: today, whichever day that is. */
  #day = "";
  #today = today();

  /** @param {string} panel the id that its address begins with */
  constructor(panel) {
    this.#panel = panel;
    this.#address = new Address(panel);
    this.#site = this.#remembered();
  }

  get site() {
    return this.#site;
  }

  get day() {
    return this.#day || this.#today;
  }

  get today() {
    return this.#today;
  }

  /** @param {string} today as the server has it */
  turnTo(today) {
    if (!isDay(today)) return;
    this.#today = today;
    if (this.#day === today) this.#day = "";
    this.#say();
  }

  /** @param {{site?: string, day?: string}} picked by the reader: to be found again with the browser's Back */
  pick({ site = this.#site, day = this.day }) {
    if (site === this.#site && day === this.day) return;
    this.#address.push(site, day);
    this.#take(site, day);
    this.#remember();
  }

  /** @param {string} site to begin with, when none was ever picked */
  suggest(site) {
    this.#site = site;
    this.#say();
  }

  /** Follows the address, if it is of this panel; what it leaves out stays as it is. */
  read() {
    const parts = this.#address.read();
    if (!parts) return;
    const [site = "", day = ""] = parts;
    this.#take(site || this.#site, isDay(day) ? day : site ? "" : this.#day);
    this.#remember();
    this.#say();
  }

  /**
   * @param {string} site
   * @param {string} day
   */
  #take(site, day) {
    this.#site = site;
    this.#day = day === this.#today ? "" : day;
  }

  #say() {
    if (this.#site) this.#address.replace(this.#site, this.day);
  }

  // A browser may forbid the storage: then the site is remembered by the address alone.

  #remember() {
    if (!this.#site) return;
    try {
      localStorage.setItem(`${this.#panel} site`, this.#site);
    } catch {
      return;
    }
  }

  #remembered() {
    try {
      return localStorage.getItem(`${this.#panel} site`) ?? "";
    } catch {
      return "";
    }
  }
}
