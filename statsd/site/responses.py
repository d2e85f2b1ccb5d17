"""The responses of an operation: those that it declares, and those that follow from its kind."""

from collections.abc import Mapping
from typing import Any

from statsd.site.schemas import Schema, Schemas
from statsd.web.answers import InvalidPayload, PlainError, Refusal
from statsd.web.operation import JSON, Answer, Operation

RETRY = {"Retry-After": "seconds after which to try again"}
TAG = {"ETag": "identifies this version of the answer"}


COMMON = {
    "Unchanged": Answer("not modified"),
    "Wrong": Answer("invalid parameter or header", Refusal),
    "Invalid": Answer("invalid event, with all its faults, or no valid event in the batch", InvalidPayload, Refusal),
    "Unauthorized": Answer("missing or wrong credentials", Refusal),
    "Forbidden": Answer("valid credentials, but not for this", Refusal),
    "TooSlow": Answer("the body did not arrive in time", Refusal),
    "TooLarge": Answer("the body is too large, or the batch has too many events", Refusal),
    "WrongType": Answer("unknown content type or encoding", Refusal),
    "Reused": Answer("the key was used with another event", Refusal),
    "Away": Answer("the database is away, or too many events are waiting", Refusal, headers=RETRY),
}
"""Answers that follow from the kind of an operation, by their names among the components of the document."""


def responses(operation: Operation, schemas: Schemas, *, asks_database: bool, may_refuse: bool, reads: bool) -> Schema:
    """Return the Responses Object of an operation.

    `may_refuse`: those whom it is not for. `reads`: it is a GET, which refuses unknown query parameters.
    """
    by_status = _expected(operation, schemas, asks_database=asks_database, may_refuse=may_refuse)
    if reads:
        by_status.setdefault(400, _common("Wrong"))
    for status, declaration in operation.answers.items():
        by_status[status] = _declared(status, declaration, operation, schemas)
    return {str(status): by_status[status] for status in sorted(by_status)}


def response(declaration: Answer, schemas: Schemas, *, tagged: bool = False) -> Schema:
    """Return the Response Object of an answer."""
    content: Schema = {}
    if declaration.bodies:
        schema = schemas.any_of(declaration.bodies)
        content[JSON] = filled({"schema": schema, "examples": named(declaration.examples)})
    for media, text in declaration.texts.items():
        content[media] = {"schema": {"type": "string"}, "examples": named({"text": text})}
    headers = {
        name: {"description": sentence(about), "schema": {"type": "string"}}
        for name, about in {**declaration.headers, **(TAG if tagged else {})}.items()
    }
    return filled({"description": sentence(declaration.about), "headers": headers, "content": content})


def filled(fields: Schema) -> Schema:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}


def named(examples: Mapping[str, Any]) -> Schema:
    """Return examples as Example Objects, by name."""
    return {name: {"value": value} for name, value in examples.items()}


def sentence(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _expected(operation: Operation, schemas: Schemas, *, asks_database: bool, may_refuse: bool) -> dict[int, Schema]:
    """Return the responses that follow from the kind of the operation."""
    names = {503: "Away"} if asks_database else {}
    if operation.tagged:
        names[304] = "Unchanged"
    if operation.query or operation.headers or operation.keys:
        names[400] = "Wrong"
    if operation.body:
        names |= {400: "Invalid", 408: "TooSlow", 413: "TooLarge", 415: "WrongType"}
    if operation.keys:
        names[422] = "Reused"
    if operation.guards or may_refuse:
        names[401] = "Unauthorized"
    if may_refuse:
        names[403] = "Forbidden"
    expected = {status: _common(name) for status, name in names.items()}
    if operation.envelope is PlainError:
        expected |= {
            code: response(Answer(COMMON[names[code]].about, PlainError), schemas) for code in {401, 403} & {*names}
        }
    if operation.body and operation.envelope is not InvalidPayload:
        expected[400] = response(Answer(COMMON["Invalid"].about, operation.envelope, Refusal), schemas)
    return expected


def _common(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def _declared(status: int, declaration: Answer | str, operation: Operation, schemas: Schemas) -> Schema:
    """Return the response of a declared answer. A sentence stands for a Refusal from 400 on, and for no body below."""
    if isinstance(declaration, str):
        bodies = [Refusal] if status >= 400 else []
        declaration = Answer(declaration, *bodies, headers=RETRY if status == 503 else None)
    return response(declaration, schemas, tagged=operation.tagged and status == 200)
