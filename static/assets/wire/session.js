// @ts-check
/**
 * Who is logged in. The server alone decides that, with a cookie which no script can read; the cookie `user_data` beside
 * it says whose it is, and every 401 that it is worth nothing any more. `contracts.md` §3.2.
 */

import { tell } from "./ask.js";
import { cookieNames, dropCookie, readCookie } from "./cookies.js";
import { number, object, text } from "./read.js";

/** @import { Answer } from "./ask.js" */
/** @import { Json } from "./read.js" */
/** @typedef {{id: number, username: string, age: number, gender: string}} User */

const USER = "user_data";
/** The server lets no name be longer; but a cookie can be anybody's work. */
const LONGEST_NAME = 64;
/** Of every cookie with the filters of a user; the user's id follows. */
export const FILTERS = "vigility_filters_";

/** Sends `change` when somebody else, or nobody, is logged in. */
class Session extends EventTarget {
  #user = person(readCookie(USER));
  #ended = "";

  get user() {
    return this.#user;
  }

  /** Why one has to log in again, a sentence; empty for who never was or who logged out. */
  get ended() {
    return this.#ended;
  }

  /**
   * @param {"/login" | "/register"} address
   * @param {Json} given
   * @returns {Promise<Answer>}
   */
  async begin(address, given) {
    const answer = await tell(address, given, false);
    if (answer.payload) this.#become(person(object(answer.payload.user)), "");
    return answer;
  }

  /** @returns {Promise<string>} why it failed, a sentence about the server; empty when nothing of the user is left here */
  async end() {
    const { payload, reason } = await tell("/logout");
    if (!payload) return reason;
    forget();
    this.#become(null, "");
    return "";
  }

  /**
   * The server does not believe the session of this user any more.
   * @param {User} user
   * @param {Answer} answer
   */
  expire(user, answer) {
    if (user !== this.#user) return;
    dropCookie(USER);
    const words = text(answer.body?.error);
    this.#become(null, `Your session has ended${words && ` (the server says: ${words})`}. Log in again to go on.`);
  }

  /** In another tab of this browser somebody may have logged in or out. */
  look() {
    const user = person(readCookie(USER));
    if (JSON.stringify(user) !== JSON.stringify(this.#user)) this.#become(user, "");
  }

  /**
   * @param {User | null} user
   * @param {string} ended
   */
  #become(user, ended) {
    this.#user = user;
    this.#ended = ended;
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {Json | null} given
 * @returns {User | null}
 */
function person(given) {
  const id = number(given?.id);
  if (id === null) return null;
  return { id, username: name(given?.username), age: number(given?.age) ?? 0, gender: name(given?.gender) };
}

/** @param {unknown} given */
const name = (given) => [...text(given)].slice(0, LONGEST_NAME).join("");

/** Whoever sits here next finds nothing to read. */
function forget() {
  for (const name of cookieNames()) if (name === USER || name.startsWith(FILTERS)) dropCookie(name);
  try {
    localStorage.clear();
    sessionStorage.clear();
  } catch {
    return; // a browser that forbids the storage has kept nothing in it
  }
}

export const session = new Session();

window.addEventListener("focus", () => session.look());
document.addEventListener("visibilitychange", () => session.look());
