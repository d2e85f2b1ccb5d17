/** What the server sends and takes, as /openapi.json says: `.ci/run` makes build/payloads.d.ts from that document. */

type Paths = import("../../build/payloads").paths;

/** Bodies by their name in the document: `Payloads["LoginStatistics"]`. */
type Payloads = import("../../build/payloads").components["schemas"];

/** A path of the document with its parameters filled in: `/items/${string}`. */
type Filled<Path> = Path extends `${infer Head}{${string}}${infer Tail}` ? `${Head}${string}${Tail}` : Path & string;

/** Any path, with or without a query. */
type ServerAddress = Filled<keyof Paths> | `${Filled<keyof Paths>}?${string}`;

/** What GET answers: `Got<"/items/1?limit=20">` is `Payloads["ItemWithHistory"]`. */
type Got<Address extends ServerAddress> = {
  [Path in keyof Paths]: Address extends Filled<Path> | `${Filled<Path>}?${string}` ? BodyOf<Paths[Path]["get"]> : never;
}[keyof Paths];

type BodyOf<Operation> = Operation extends { responses: { 200: { content: { "application/json": infer Body } } } } ? Body : never;
