/** The page at /docs: Swagger UI over /openapi.json, in the system's colours, with a search over operations. */

/** An operation or a group of them: a map of Immutable.js, which Swagger UI brings along. @typedef {any} Immutable */

/** What the snippets of docs.html ask; on the page they ask the server that it came from. */
const WRITTEN = "http://127.0.0.1:8080";

/**
 * Swagger UI's hook for its search: keep operations whose group, method, path and summary have every word.
 * @param {Immutable} groups by name
 * @param {string} phrase @returns {Immutable}
 */
function opsFilter(groups, phrase) {
  const words = phrase.toLowerCase().split(/\s+/);
  /** @param {string} group */
  const matches = (group) => (/** @type {Immutable} */ entry) => {
    const text = [group, entry.get("method"), entry.get("path"), entry.getIn(["operation", "summary"])].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return groups
    .map((/** @type {Immutable} */ group, /** @type {string} */ name) =>
      group.update("operations", (/** @type {Immutable} */ entries) => entries.filter(matches(name))),
    )
    .filter((/** @type {Immutable} */ group) => group.get("operations").size > 0);
}

/**
 * Swagger UI shows an answer once it has ended, and a stream never ends: ask for its numbers once.
 * @param {{ url: string, headers: Record<string, string> }} request
 */
function requestInterceptor(request) {
  if (new URL(request.url, location.href).pathname.startsWith("/statistics/")) request.headers.accept = "application/json";
  return request;
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

for (const code of document.querySelectorAll("pre")) {
  code.textContent = (code.textContent ?? "").replaceAll(WRITTEN, location.origin);
}

/** A section of docs.html that the address names. Swagger UI takes every other hash for its own, and scrolls to the top. */
const section = document.getElementById(location.hash.slice(1));
const nothing = () => null;
/** @type {any} */ (window).SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: !section,
  onComplete: () => section?.scrollIntoView(),
  filter: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  requestInterceptor,
  // Title, description and server are on the page already.
  plugins: [{ fn: { opsFilter }, components: { InfoContainer: nothing, ServersContainer: nothing } }],
});
