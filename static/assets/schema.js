// @ts-check
/** What a JSON Schema says, in words. */

import { isObject, list, object, text } from "./wire/read.js";

/** @typedef {import("./wire/read.js").Json} Json */
/** @typedef {(found: Json) => Json} Resolve gives what a `$ref` refers to, or the thing itself */

const FORMATS = new Map([
  ["date", "day, YYYY-MM-DD"],
  ["date-time", "instant, ISO 8601"],
  ["uuid", "UUID"],
]);
const count = new Intl.NumberFormat("en");

/**
 * @param {Json} whole the document that references are in
 * @returns {Resolve}
 */
export function makeResolve(whole) {
  return (found) => {
    const place = text(found.$ref);
    if (!place) return found;
    return place.slice("#/".length).split("/").reduce((inside, name) => object(inside[name]), whole);
  };
}

/**
 * @param {Json} schema
 * @param {Resolve} resolve
 * @returns {string} its kind and bounds, as in "integer, 1 to 1,000"
 */
export function kind(schema, resolve) {
  const choices = list(schema.anyOf);
  if (choices.length) return choices.map((one) => kind(one, resolve)).join(" or ");
  if (schema.$ref) return text(resolve(schema).title) || "object";
  if (Array.isArray(schema.enum)) return schema.enum.length > 1 ? `one of ${schema.enum.join(", ")}` : `${schema.enum[0]}`;
  if (schema.type === "array") return `array of ${kind(object(schema.items), resolve)}${bounds(schema)}`;
  const name = FORMATS.get(text(schema.format)) ?? (Array.isArray(schema.type) ? schema.type.join(" or ") : text(schema.type));
  return `${name || "anything"}${bounds(schema)}`;
}

/** @param {Json} schema */
function bounds(schema) {
  const { minimum, maximum, maxLength, maxItems } = schema;
  if (typeof minimum === "number" && typeof maximum === "number") {
    return `, ${count.format(minimum)} to ${count.format(maximum)}`;
  }
  if (typeof maxLength === "number") return `, up to ${count.format(maxLength)} characters`;
  return typeof maxItems === "number" ? `, up to ${count.format(maxItems)}` : "";
}

/**
 * The fields of the object that a body is, or that it may be many of.
 * @param {Json} schema
 * @param {Resolve} resolve
 * @returns {{name: string, kind: string, required: boolean, about: string}[]}
 */
export function fields(schema, resolve) {
  const whole = resolve(list(schema.anyOf).map(resolve).find((one) => isObject(one.properties)) ?? schema);
  const required = Array.isArray(whole.required) ? whole.required : [];
  return Object.entries(object(whole.properties)).map(([name, found]) => {
    const field = object(found);
    return { name, kind: kind(field, resolve), required: required.includes(name), about: about(field) };
  });
}

/** @param {Json} schema */
function about(schema) {
  return text(schema.description) || list(schema.anyOf).map((one) => text(one.description)).join("");
}
