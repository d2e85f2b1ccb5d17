// @ts-check
/** The page at /docs: openapi.json, readable. */

import { ask } from "./wire/ask.js";
import { button, element, hooked } from "./widgets/element.js";
import { makeMethod, makeOperation } from "./operation.js";
import { list, object, text } from "./wire/read.js";
import { makeResolve } from "./schema.js";
import { paragraphs } from "./words.js";

/** @typedef {import("./wire/read.js").Json} Json */
/** @typedef {{path: string, method: string, told: Json}} Found an operation, and where it stands in the document */

const SOURCE = "/openapi.json";
const wide = window.matchMedia("(min-width: 901px)"); // as in docs.css

async function read() {
  const { payload, reason } = await ask(SOURCE);
  const place = hooked("data-operations");
  if (payload) {
    place.replaceChildren(...makePage(payload));
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
    return;
  }
  const again = button({ class: "act" }, "Try again", read);
  place.replaceChildren(element("p", { role: "alert" }, `${SOURCE} could not be read. ${reason} `, again));
}

/** @param {Json} whole */
function makePage(whole) {
  const resolve = makeResolve(whole);
  const found = operations(object(whole.paths));
  const tags = list(whole.tags).map((tag) => ({ name: text(tag.name), about: text(tag.description) }));
  const groups = tags.map((tag) => ({ ...tag, found: found.filter(({ told }) => [told.tags].flat().includes(tag.name)) }));
  hooked("data-contents").replaceChildren(...groups.map(makeContents));
  return [
    ...paragraphs(text(object(whole.info).description)),
    ...groups.map(({ name, about, found: mine }) =>
      element(
        "section",
        { class: "group", "aria-labelledby": `tag-${name}` },
        element("h2", { id: `tag-${name}` }, name),
        ...paragraphs(about),
        ...mine.map(({ path, method, told }) => makeOperation(path, method, told, resolve)),
      ),
    ),
  ];
}

/**
 * @param {Json} paths
 * @returns {Found[]}
 */
function operations(paths) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(object(methods)).map(([method, told]) => ({ path, method, told: object(told) })),
  );
}

/** @param {{name: string, found: Found[]}} group */
function makeContents({ name, found }) {
  const links = found.map(({ path, method, told }) =>
    element("li", {}, element("a", { href: `#${told.operationId}` }, makeMethod(method), element("span", {}, path))),
  );
  const open = wide.matches ? { open: "" } : undefined;
  return element("details", open, element("summary", {}, name), element("ul", {}, ...links));
}

await read();
