/** The forms for logging in and for a new account. The server's refusal stands beside the field that it is about. */

import { about } from "../../figures/format.js";
import { button, element, setText } from "../../widgets/element.js";
import { onSubmit } from "../../widgets/form.js";
import { makeOptions } from "../../widgets/select.js";
import { needsInvitation } from "../../wire/access.js";
import { session } from "../../wire/session.js";
import { GENDERS } from "./filters.js";

/** @import { Answer } from "../../wire/ask.js" */
/** @import { View } from "./choice.js" */
/** @typedef {HTMLInputElement | HTMLSelectElement} Input */
/**
 * Its `cover` hides a password that is shown.
 * @typedef {{name: string, node: HTMLElement, input: Input, showFault: (words: string) => void, cover?: () => void}} Field
 */

const TOO_MANY = 429;

/**
 * @param {string} words why one should log in
 * @returns {{node: HTMLElement, show: (view: View, invitation: string) => void, focus: () => void}}
 */
export function makeSignin(words) {
  const isClosed = needsInvitation(session.locked);
  const login = makeSigninForm({
    view: "login",
    words,
    title: "Log in",
    busy: "Logging in…",
    fields: [makeUsername("login"), makePassword("login", "current-password")],
    other: isClosed
      ? ["No account yet? Registration is closed: ask an admin of this server for an invitation."]
      : ["No account yet? ", element("a", { href: "#usage/register" }, "Create one")],
  });
  const register = makeSigninForm({
    view: "register",
    words,
    title: "Create an account",
    busy: "Creating it…",
    fields: [makeUsername("register"), makePassword("register", "new-password"), makeAge(), makeGender()],
    other: ["Already have an account? ", element("a", { href: "#usage/login" }, "Log in")],
  });
  let shown = login;
  return {
    node: element("div", { class: "gate" }, login.node, register.node),
    show(view, invitation) {
      shown = view === "login" || (isClosed && !invitation) ? login : register;
      for (const form of [login, register]) form.node.hidden = form !== shown;
      shown.show(invitation);
    },
    focus: () => shown.focus(),
  };
}

/**
 * Its button is labelled `busy` while it is sent.
 * @param {{view: View, words: string, title: string, busy: string, fields: Field[], other: (Node | string)[]}} parts
 */
function makeSigninForm({ view, words, title, busy, fields, other }) {
  const heading = element("h2", { id: `${view}-title` }, title);
  const note = element("p", { class: "hint" });
  const fault = element("p", { class: "fault", role: "alert", "data-fault": "" });
  const submit = element("button", { class: "action primary", "data-submit": "" }, title);
  let invitation = "";
  const node = element(
    "form",
    { class: "signin", "aria-labelledby": heading.id, "data-view": view },
    heading,
    note,
    ...fields.map((field) => field.node),
    fault,
    submit,
    element("p", { class: "hint" }, ...other),
  );

  /** @param {Answer} answer */
  function refuse(answer) {
    const others = faultsOf(answer).filter((words) => !fields.some((field) => showFaultOf(field, words)));
    setText(fault, others.join(" "));
    (fields.find(({ input }) => input.ariaInvalid === "true") ?? fields[0])?.input.focus();
  }

  function clear() {
    setText(fault, "");
    for (const field of fields) field.showFault("");
  }

  onSubmit(node, submit, async () => {
    clear();
    for (const field of fields) field.cover?.();
    setText(submit, busy);
    const answer = await session.begin(`/${view}`, { ...Object.fromEntries(new FormData(node)), ...(invitation && { invitation }) });
    setText(submit, title);
    if (!answer.payload) refuse(answer);
  });
  // No password stays in a field, not even one that was never sent.
  session.addEventListener("change", () => {
    clear();
    node.reset();
  });

  return {
    node,
    focus: () => fields[0]?.input.focus(),
    /** @param {string} secret of an invitation; empty without one */
    show(secret) {
      invitation = secret;
      setText(note, session.ended || words);
      note.toggleAttribute("data-ended", session.ended !== "");
    },
  };
}

/** @param {Answer} answer @returns {string[]} sentences; those about a field begin with its name */
function faultsOf({ error, reason, status, wait }) {
  if (!error) return [`The server is unavailable. ${reason}`];
  if (status === TOO_MANY && wait) return [`${error}: in ${about(wait)}.`];
  return error.split("; ");
}

/** Shows a sentence beside the field, if it is about that field alone. @param {Field} field @param {string} words */
function showFaultOf(field, words) {
  const [subject = "", next = ""] = words.toLowerCase().split(" ");
  if (subject !== field.name || next === "and") return false;
  field.showFault(words);
  return true;
}

/** @param {View} view */
function makeUsername(view) {
  const input = element("input", { type: "text", autocomplete: "username", autocapitalize: "off", spellcheck: "false" });
  return makeField(view, "Username", input);
}

/** @param {View} view @param {"current-password" | "new-password"} kind @returns {Field} */
function makePassword(view, kind) {
  const input = element("input", { type: "password", autocomplete: kind });
  const reveal = button({ class: "tool", "data-reveal": "", "aria-label": "Show the password", "aria-pressed": "false" }, "Show", () =>
    turn(input.type === "password"),
  );

  /** @param {boolean} open */
  function turn(open) {
    input.type = open ? "text" : "password";
    reveal.setAttribute("aria-pressed", String(open));
    setText(reveal, open ? "Hide" : "Show");
  }

  const box = element("div", { class: "secret" }, input, reveal);
  const field = makeField(view, "Password", input, box, kind === "new-password" ? "8 characters or more" : "");
  return { ...field, cover: () => turn(false) };
}

function makeAge() {
  const input = element("input", { type: "number", inputmode: "numeric", min: "0", max: "150", step: "1", autocomplete: "off" });
  return makeField("register", "Age", input);
}

function makeGender() {
  const options = makeOptions([{ id: "", label: "Choose" }, ...GENDERS.slice(1)]);
  return makeField("register", "Gender", element("select", { autocomplete: "off" }, ...options));
}

/**
 * The server knows the field by its label, in lower case.
 * @param {View} view @param {string} label @param {Input} input
 * @param {HTMLElement} [box] the input, or what it stands in
 * @param {string} [hint] @returns {Field}
 */
function makeField(view, label, input, box = input, hint = "") {
  const name = label.toLowerCase();
  const id = `${view}-${name}`;
  const help = element("p", { class: "hint", id: `${id}-hint` }, hint);
  const fault = element("p", { class: "fault", id: `${id}-fault` });
  input.id = id;
  input.name = name;
  input.required = true;
  input.setAttribute("aria-describedby", hint ? `${help.id} ${fault.id}` : fault.id);
  return {
    name,
    input,
    node: element("div", { class: "entry" }, element("label", { for: id }, label), box, ...(hint ? [help] : []), fault),
    showFault(words) {
      setText(fault, words);
      input.ariaInvalid = String(words !== "");
    },
  };
}
