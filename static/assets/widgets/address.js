// @ts-check
/**
 * What the reader picked in a panel stands in the address behind the panel's name (`#webhooks/day`): so a view can be
 * shared, reloaded, and found again with the browser's Back.
 */

export class Address {
  #panel;

  /** @param {string} panel the id that its address begins with */
  constructor(panel) {
    this.#panel = panel;
  }

  /** @returns {string[] | null} what stands behind the panel's name; null while the address is of another one */
  read() {
    const [panel, ...parts] = location.hash.slice(1).split("/");
    return panel === this.#panel ? parts.map(decoded) : null;
  }

  /** @param {string[]} parts picked by the reader: a step in the browser's history */
  push(...parts) {
    history.pushState(null, "", this.#of(parts));
  }

  /** @param {string[]} parts the address in full, without a step in the browser's history */
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
