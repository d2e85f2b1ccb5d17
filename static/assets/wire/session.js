/**
 * Who is logged in. Only the server decides that, by a cookie that no script can read. The cookie `user_data` beside it
 * says whose session it is, and a response with status 401 that the session is over.
 */

import { isLocked, sharedView } from "./access.js";
import { post } from "./ask.js";
import { cookieNames, dropCookie, readCookie } from "./cookies.js";
import { text } from "./json.js";

/** @import { Answer } from "./ask.js" */
/** @typedef {Payloads["Person"]} User */

/** The one behind TLS first, which no other host can have set. */
const USERS = ["__Host-user_data", "user_data"];
/** The server allows no longer name, but anybody can write a cookie. */
const LONGEST_NAME = 64;
/**
 * Begins the name of the cookie with a user's filters; the user's id follows. It is the name that the dashboard which
 * the usage stream replaces gave it, so that filters kept there still hold.
 */
export const FILTERS = "vigility_filters_";

/** Sends `change` when somebody else, or nobody, is logged in. */
class Session extends EventTarget {
  user = knownUser();
  /** Whether the page shows nothing to a reader who is not logged in. */
  locked = isLocked;
  /** Why the user has to log in again, a sentence; empty if nobody was logged in, or the user logged out. */
  ended = "";

  /** @param {"/login" | "/register"} address @param {Record<string, unknown>} fields @returns {Promise<Answer>} */
  async begin(address, fields) {
    /** @type {Answer<Payloads["Session"]>} */
    const answer = await post(address, fields, false);
    if (answer.payload) this.#become(userOf(answer.payload.user), "");
    return answer;
  }

  /** @returns {Promise<string>} why it failed, a sentence about the server; empty when the user is logged out */
  async end() {
    const { payload, reason } = await post("/logout");
    if (!payload) return reason;
    forget();
    this.#become(null, "");
    return "";
  }

  /** The server no longer accepts this user's session. @param {User} user @param {Answer} answer */
  expire(user, answer) {
    if (user !== this.user) return;
    USERS.forEach(dropCookie);
    const words = answer.error && ` (the server says: ${answer.error})`;
    this.#become(null, `Your session has ended${words}. Log in again to go on.`);
  }

  /** The server shows its numbers to nobody without a session. @param {Answer} answer */
  refuse(answer) {
    this.locked = true;
    if (this.user) this.expire(this.user, answer);
    else this.#become(null, this.ended);
  }

  /** Somebody may have logged in or out in another tab. */
  look() {
    const user = knownUser();
    if (JSON.stringify(user) !== JSON.stringify(this.user)) this.#become(user, "");
  }

  /** @param {User | null} user @param {string} ended */
  #become(user, ended) {
    this.user = user;
    this.ended = ended;
    this.dispatchEvent(new Event("change"));
  }
}

/** @returns {User | null} the first that the cookies name; a share link shows the same to everybody */
function knownUser() {
  if (sharedView !== undefined) return null;
  for (const name of USERS) {
    const user = userOf(readCookie(name));
    if (user) return user;
  }
  return null;
}

/** @param {{[Key in keyof User]?: unknown}} fields of a cookie that anybody can write @returns {User | null} */
function userOf({ id, username, age, gender }) {
  if (typeof id !== "number") return null;
  return { id, username: nameOf(username), age: Number(age) || 0, gender: nameOf(gender) };
}

/** @param {unknown} value */
const nameOf = (value) => [...text(value)].slice(0, LONGEST_NAME).join("");

/** Leaves nothing for the next user of this browser to read. */
function forget() {
  for (const name of cookieNames()) if (USERS.includes(name) || name.startsWith(FILTERS)) dropCookie(name);
  try {
    localStorage.clear();
  } catch {
    return; // the browser forbids storage, so it has kept nothing
  }
}

export const session = new Session();

window.addEventListener("focus", () => session.look());
document.addEventListener("visibilitychange", () => session.look());
