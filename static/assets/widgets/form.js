// @ts-check
/** A form that sends what is in it, and says what became of that: a refusal in the server's words. */

import { send } from "../wire/ask.js";
import { object, text } from "../wire/read.js";
import { element, setText } from "./element.js";

/** @import { Answer, Order } from "../wire/ask.js" */
/** @import { Json } from "../wire/read.js" */
/**
 * @typedef {object} Form
 * @property {string} id
 * @property {string} label of its button
 * @property {HTMLElement[]} fields
 * @property {() => Order} order what it sends, once all fields are as they must be
 * @property {(stored: Json) => string} done what is so from now on, in a sentence
 */
/** @typedef {"good" | "warn" | "bad" | "none"} Tone */

const KEY_BYTES = 16;

/**
 * @param {Form} form
 * @returns {{node: HTMLFormElement, clear: () => void}}
 */
export function makeForm({ id, label, fields, order, done }) {
  const said = element("p", { class: "said", role: "status", "data-said": "" });
  const act = element("button", { class: "action", type: "submit" }, label);
  const node = element("form", { class: "form", "data-form": id }, element("div", { class: "row" }, ...fields, act), said);
  let sending = false;
  /** What got no answer is sent under its key again, so that it counts once. */
  let open = { content: "", key: "" };

  /** @param {string} words @param {Tone} [tone] */
  function say(words, tone = "none") {
    said.dataset.tone = tone;
    setText(said, words);
  }

  async function submit() {
    const wish = order();
    const content = JSON.stringify(wish);
    if (open.content !== content) open = { content, key: newKey() };
    sending = true;
    act.setAttribute("aria-disabled", "true");
    say("Sending…");
    const answer = await send(wish, open.key);
    sending = false;
    act.removeAttribute("aria-disabled");
    if (answer.payload || answer.refused) open = { content: "", key: "" };
    const [words, tone] = outcome(answer, done);
    say(words, tone);
  }

  node.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!sending) submit();
  });
  return { node, clear: () => say("") };
}

/**
 * @param {Answer} answer
 * @param {Form["done"]} done
 * @returns {[string, Tone]}
 */
function outcome({ payload, body, status, refused, reason }, done) {
  if (status === 202) return ["Accepted. It is stored as soon as the database is back.", "warn"];
  if (payload) return [done(payload), "good"];
  const words = wordsOf(object(body));
  if (refused) return [`Refused: ${words || reason}`, "bad"];
  if (words) return [`Not stored: ${words}`, "bad"];
  return ["No answer: stored or not, sending it again counts once.", "bad"];
}

/** @param {Json} body of a refusal */
function wordsOf({ details, error }) {
  const all = Array.isArray(details) ? details.map(text).filter(Boolean) : [];
  return all.join("; ") || text(error);
}

/** Not `randomUUID`, which a page that is not served over HTTPS does not have. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
