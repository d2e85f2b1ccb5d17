/** Forms that send themselves, once at a time, and say how it went. */

import { send } from "../wire/ask.js";
import { element, setText } from "./element.js";

/** @import { Answer, Order } from "../wire/ask.js" */
/**
 * @template Stored what the server answers
 * @typedef {object} OrderForm
 * @property {string} id
 * @property {string} label of its button
 * @property {HTMLElement[]} fields
 * @property {() => Order} order what to send, once all fields are valid
 * @property {(stored: Stored) => string} done what is true from now on, in a sentence
 */
/** @typedef {"good" | "warn" | "bad" | "none"} Tone */

const KEY_BYTES = 16;

/**
 * Makes a form run `submit`, and not a second time while it is running; meanwhile its button is disabled.
 * @param {HTMLFormElement} form @param {HTMLButtonElement} act @param {() => Promise<void>} submit
 */
export function onSubmit(form, act, submit) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (act.ariaDisabled === "true") return;
    act.ariaDisabled = "true";
    await submit();
    act.ariaDisabled = null;
  });
}

/** @template Stored @param {OrderForm<Stored>} form @returns {{node: HTMLFormElement, clear: () => void}} */
export function makeForm({ id, label, fields, order, done }) {
  const result = element("p", { class: "result", role: "status", "data-result": "" });
  const act = element("button", { class: "action", type: "submit" }, label);
  const node = element("form", { class: "form", "data-form": id }, element("div", { class: "row" }, ...fields, act), result);
  /** An order without a response is sent again under the same key, so that it counts once. */
  let open = { content: "", key: "" };

  /** @param {string} words @param {Tone} [tone] */
  function say(words, tone = "none") {
    result.dataset.tone = tone;
    setText(result, words);
  }

  onSubmit(node, act, async () => {
    const wanted = order();
    const content = JSON.stringify(wanted);
    if (open.content !== content) open = { content, key: newKey() };
    say("Sending…");
    /** @type {Answer<Stored>} */
    const answer = await send(wanted, open.key);
    if (answer.payload || answer.refused) open = { content: "", key: "" };
    say(...outcome(answer, done));
  });
  return { node, clear: () => say("") };
}

/** @template Stored @param {Answer<Stored>} answer @param {(stored: Stored) => string} done @returns {[string, Tone]} */
function outcome({ payload, error, details, status, refused, reason }, done) {
  if (status === 202) return ["Accepted. It is stored as soon as the database is back.", "warn"];
  if (payload) return [done(payload), "good"];
  const words = details.join("; ") || error;
  if (refused) return [`Refused: ${words || reason}`, "bad"];
  if (words) return [`Not stored: ${words}`, "bad"];
  return ["No answer: stored or not, sending it again counts once.", "bad"];
}

/** `randomUUID` exists only on pages served over HTTPS. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
