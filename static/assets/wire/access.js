/**
 * How this page was opened: by a reader, or by the link to one view that somebody shared. The server marks the page: with
 * `data-view` for a share link, with `data-locked` where reading needs a login, with `data-registration` where that is
 * closed, or open although reading needs a login.
 */

const { view, locked, registration } = document.documentElement.dataset;
const secret = view === undefined ? "" : (location.pathname.split("/")[2] ?? "");

/** The view that a share link shows; empty once the link has ended, undefined without a link. */
export const sharedView = view;

/** Whether the server said from the start that reading needs a login. */
export const isLocked = locked !== undefined;

/** @param {boolean} isLocked whether reading needs a login, as far as the page knows @returns {boolean} */
export const needsInvitation = (isLocked) => registration === "closed" || (isLocked && registration !== "open");

/**
 * Adds the secret of the share link, if there is one: neither sockets nor downloads can send it in a header.
 * @template {string} Address @param {Address} address @returns {Address}
 */
export function addressed(address) {
  if (!secret) return address;
  const joint = address.includes("?") ? "&" : "?";
  return /** @type {Address} */ (`${address}${joint}link=${encodeURIComponent(secret)}`);
}
