/**
 * What the reader picked in a panel follows the panel's name in the address (`#webhooks/day`). So a view can be shared,
 * reloaded, and found again with the browser's Back button.
 */

export class Address {
  #panel;

  /** @param {string} panel its id */
  constructor(panel) {
    this.#panel = panel;
  }

  /** @returns {string[] | null} what follows the panel's name; null while the address is another panel's */
  read() {
    const [panel, ...parts] = location.hash.slice(1).split("/");
    return panel === this.#panel ? parts.map(decoded) : null;
  }

  /** @param {string[]} parts the reader's choice: a new entry in the browser's history */
  push(...parts) {
    history.pushState(null, "", this.#of(parts));
  }

  /** @param {string[]} parts the full address, without a new entry in the browser's history */
  replace(...parts) {
    if (this.read() && location.hash !== this.#of(parts)) history.replaceState(null, "", this.#of(parts));
  }

  /** @param {string[]} parts */
  #of(parts) {
    return `#${[this.#panel, ...parts.map(encodeURIComponent)].join("/")}`;
  }
}

/** @param {string} part of an address */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
