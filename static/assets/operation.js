// @ts-check
/** One operation of the document, as a section of the page. */

import { command } from "./command.js";
import { element } from "./widgets/element.js";
import { makeListener } from "./listen.js";
import { isObject, list, object, text } from "./wire/read.js";
import { fields, kind } from "./schema.js";
import { paragraphs, words } from "./words.js";

/** @typedef {import("./wire/read.js").Json} Json */
/** @typedef {import("./schema.js").Resolve} Resolve */

const STREAM = "text/event-stream";
const JSON_TYPE = "application/json";

/**
 * @param {string} path
 * @param {string} method
 * @param {Json} told
 * @param {Resolve} resolve
 * @returns {HTMLElement}
 */
export function makeOperation(path, method, told, resolve) {
  const id = text(told.operationId);
  const parameters = list(told.parameters);
  const streams = isObject(contentOf(object(told.responses)["200"], resolve)[STREAM]);
  return element(
    "section",
    { class: "operation", id, "aria-labelledby": `${id}-name`, "data-operation": id },
    element("h3", { id: `${id}-name` }, makeMethod(method), element("code", { class: "path" }, path)),
    element("p", { class: "summary" }, ...words(text(told.summary))),
    ...paragraphs(text(told.description)),
    ...makeGuards(told),
    ...(streams ? [makeListener(path, parameters)] : []),
    ...(upgrades(object(told.responses)) ? [] : [element("pre", { "data-command": "" }, command(path, method, told))]),
    ...part("Parameters", makeParameters(parameters, resolve)),
    ...part("Body", makeBody(object(told.requestBody), resolve)),
    ...part("Answers", makeAnswers(object(told.responses), resolve)),
  );
}

/** @param {Json} responses */
function upgrades(responses) {
  return responses["101"] !== undefined && responses["200"] === undefined;
}

/** @param {string} method */
export function makeMethod(method) {
  return element("span", { class: "method", "data-method": method }, method.toUpperCase());
}

/**
 * @param {string} title
 * @param {HTMLElement[]} inside
 */
function part(title, inside) {
  return inside.length ? [element("h4", {}, title), ...inside] : [];
}

/** @param {Json} told */
function makeGuards(told) {
  const names = list(told.security).flatMap(Object.keys);
  if (!names.length) return [];
  const optional = list(told.security).length > names.length;
  const where = optional ? ", where the server asks for it" : "";
  return [element("p", { class: "hint" }, `Guarded by ${names.join(" or ")}${where}.`)];
}

/**
 * @param {Json[]} parameters
 * @param {Resolve} resolve
 */
function makeParameters(parameters, resolve) {
  const rows = parameters.map((one) => {
    const schema = object(one.schema);
    const standard = schema.default === undefined ? "" : `; ${schema.default} if not given`;
    const where = one.in === "query" ? "" : `in the ${one.in}; `;
    return makeField(text(one.name), where + kind(schema, resolve) + standard, one.required === true, text(one.description));
  });
  return rows.length ? [element("dl", { class: "fields" }, ...rows)] : [];
}

/**
 * @param {string} name
 * @param {string} what
 * @param {boolean} required
 * @param {string} about
 */
function makeField(name, what, required, about) {
  const needed = required ? [element("span", { class: "required" }, "required")] : [];
  const meaning = about ? [element("span", {}, ...words(about))] : [];
  return element(
    "div",
    {},
    element("dt", {}, element("code", {}, name), ...needed),
    element("dd", {}, element("span", { class: "kind" }, what), ...meaning),
  );
}

/**
 * @param {Json} body
 * @param {Resolve} resolve
 */
function makeBody(body, resolve) {
  const content = Object.entries(object(body.content)).map(([media, one]) => ({ media, told: object(one) }));
  const main = content.find(({ media }) => media === JSON_TYPE);
  if (!main) return [];
  const schema = object(main.told.schema);
  const same = content.filter(({ told }) => !aboutMedia(told));
  const others = new Map(content.filter(({ told }) => aboutMedia(told)).map(({ told }) => [aboutMedia(told), told]));
  const rows = fields(schema, resolve).map((one) => makeField(one.name, one.kind, one.required, one.about));
  return [
    element("p", {}, `${kind(schema, resolve)}, as `, ...names(same)),
    ...[...others.keys()].map((about) =>
      element("p", {}, ...names(content.filter(({ told }) => aboutMedia(told) === about)), `: ${about}`),
    ),
    element("dl", { class: "fields" }, ...rows),
    element(
      "details",
      { class: "answer" },
      element("summary", {}, "Examples"),
      ...makeExamples(main.told),
    ),
  ];
}

/** @param {Json} media */
function aboutMedia(media) {
  return text(object(media.schema).description);
}

/** @param {{media: string}[]} content */
function names(content) {
  return content.flatMap(({ media }, place) => [place ? ", " : "", element("code", {}, media)]);
}

/**
 * @param {Json} responses
 * @param {Resolve} resolve
 */
function makeAnswers(responses, resolve) {
  return Object.entries(responses).map(([status, found]) => {
    const told = resolve(object(found));
    const content = contentOf(found, resolve);
    const title = [
      element("span", { class: "code", "data-kind": status.slice(0, 1) }, status),
      element("span", {}, ...words(text(told.description))),
    ];
    const inside = [
      ...Object.entries(object(told.headers)).map(([name, one]) =>
        element("p", { class: "hint" }, element("code", {}, name), `: ${text(object(one).description)}`),
      ),
      ...Object.entries(content).flatMap(([media, one]) => [
        element("p", { class: "hint" }, media),
        ...makeExamples(object(one)),
      ]),
    ];
    if (!inside.length) return element("p", { class: "answer" }, ...title);
    return element("details", { class: "answer" }, element("summary", {}, ...title), ...inside);
  });
}

/**
 * @param {unknown} response
 * @param {Resolve} resolve
 */
function contentOf(response, resolve) {
  return object(resolve(object(response)).content);
}

/** @param {Json} media */
function makeExamples(media) {
  const examples = Object.entries(object(media.examples));
  return examples.map(([name, one]) => {
    const value = object(one).value;
    const shown = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return element("figure", {}, element("figcaption", {}, name), element("pre", {}, shown));
  });
}

