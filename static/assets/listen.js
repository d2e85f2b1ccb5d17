// @ts-check
/** Listening to an operation that answers with server-sent events: a button, what it asks for, and the last messages. */

import { button, element, setText } from "./widgets/element.js";
import { object, text } from "./wire/read.js";

/** @typedef {import("./wire/read.js").Json} Json */

const MOST_MESSAGES = 5;

/** Stops whoever listens: browsers open only six connections to a server. */
let stopOther = () => {};

/**
 * @param {string} path with {names} in it
 * @param {Json[]} parameters
 * @returns {HTMLElement}
 */
export function makeListener(path, parameters) {
  const inputs = parameters.filter((one) => one.in !== "header").map(makeInput);
  const state = element("span", { class: "hint", role: "status" });
  const messages = element("ol", { class: "messages" });
  /** @type {EventSource | undefined} */
  let source;

  /** @param {string} words */
  function stop(words) {
    source?.close();
    source = undefined;
    setText(act, "Listen");
    setText(state, words);
  }

  function start() {
    stopOther();
    stopOther = () => stop("");
    const address = fill(path, inputs);
    source = new EventSource(address);
    setText(act, "Stop");
    setText(state, `Connecting to ${address}`);
    source.onopen = () => setText(state, `Listening to ${address}`);
    source.onmessage = (event) => {
      messages.prepend(element("li", {}, element("pre", { tabindex: "0" }, String(event.data))));
      while (messages.children.length > MOST_MESSAGES) messages.lastElementChild?.remove();
    };
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) stop("The server refuses, or answers with something else.");
      else setText(state, "The connection is lost; the browser tries again.");
    };
  }

  const act = button({ class: "act", "data-listen": "" }, "Listen", () => (source ? stop("") : start()));
  const fields = inputs.map(({ name, input }) => element("label", { class: "field" }, name, input));
  return element("div", { class: "listener" }, element("div", { class: "row" }, ...fields, act, state), messages);
}

/** @param {Json} parameter */
function makeInput(parameter) {
  const schema = object(parameter.schema);
  const choices = Array.isArray(schema.enum) ? schema.enum.map(String) : [];
  const value = String(parameter.example ?? schema.default ?? choices[0] ?? "");
  const input = choices.length
    ? element("select", {}, ...choices.map((choice) => element("option", {}, choice)))
    : element("input", { type: "text" });
  input.value = value;
  return { name: text(parameter.name), place: text(parameter.in), input };
}

/**
 * @param {string} path
 * @param {ReturnType<typeof makeInput>[]} inputs
 */
function fill(path, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, place, input } of inputs) {
    if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(name, input.value);
  }
  return query.size ? `${filled}?${query}` : filled;
}
