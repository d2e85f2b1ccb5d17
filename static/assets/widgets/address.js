/**
 * What the reader picked in a panel follows the panel's name in the address (`#webhooks/day`). So a view can be shared,
 * reloaded, and found again with the browser's Back button.
 */

/** @param {string} panel its id */
export function makeAddress(panel) {
  /** @returns {string[] | null} what follows the panel's name; null while the address is another panel's */
  function read() {
    const [name, ...parts] = location.hash.slice(1).split("/");
    return name === panel ? parts.map(decoded) : null;
  }

  /** @param {string[]} parts */
  const hashOf = (parts) => `#${[panel, ...parts.map(encodeURIComponent)].join("/")}`;

  return {
    read,
    /** @param {string[]} parts the reader's choice: a new entry in the browser's history */
    push: (...parts) => history.pushState(null, "", hashOf(parts)),
    /** @param {string[]} parts the full address, without a new entry in the browser's history */
    replace(...parts) {
      if (read() && location.hash !== hashOf(parts)) history.replaceState(null, "", hashOf(parts));
    },
  };
}

/** @param {string} part of an address */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
