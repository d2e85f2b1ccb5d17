"""The answers of an operation as openapi.json has them: what it declares, and what follows from its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statsd.errors import InvalidEvent
from statsd.site.docstrings import sentence
from statsd.site.shapes import Schema, schema
from statsd.web.operation import JSON, Answer, Envelope, Operation, answer

WORDS = "what is wrong, then what would be right"
ERROR = {"success": False, "message": WORDS, "error": WORDS}
ERROR_SCHEMA = schema([ERROR])
DETAILS = ["region is required and must be a non-empty string of at most 100 characters without control characters"]
INVALID: dict[str, Any] = {
    "one": {"error": "Invalid payload", "details": DETAILS},
    "many": {"error": "Invalid payload", "rejected": [{"index": 0, "details": DETAILS}]},
}
SENTENCE = "this key was used with another event: use a new one for a new event"
REUSED = {"success": False, "message": SENTENCE, "error": SENTENCE, "details": [SENTENCE]}
RETRY = {"Retry-After": "seconds after which to try again"}
COMMON = {
    "Unchanged": answer("what the client has already still holds"),
    "Wrong": answer("a parameter or a header is wrong", error=ERROR),
    "Invalid": answer("the event is wrong, or every one of a batch: all faults are named", **INVALID, request=ERROR),
    "Unauthorized": answer("what this operation asks for was not shown", error=ERROR),
    "TooSlow": answer("the body did not arrive in time", error=ERROR),
    "TooLarge": answer("the body is too large, or has too many events", error=ERROR),
    "WrongType": answer("the body is of another content type or encoding", error=ERROR),
    "Reused": answer("the key was used with another event", reused=REUSED),
    "Away": answer("the database is away, or too much waits already", headers=RETRY, error=ERROR),
}
"""Answers that follow from the kind of an operation, by the name they have among the components."""


def responses(told: Operation, envelope: Envelope | None, *, reads: bool) -> Schema:
    """Return the answers of an operation by status; `envelope` is its own form of a 400, `reads` of the database."""
    said = {status: _response(status, one, told) for status, one in told.answers.items()}
    found = {**_expected(told, envelope, reads), **said}
    if all(status >= 400 for status in told.answers):
        found[200] = {"description": "It is done"}
    return {str(status): found[status] for status in sorted(found)}


def components() -> Schema:
    """Return the common answers by name."""
    return {name: _answer(one) for name, one in sorted(COMMON.items())}


def examples(named: Mapping[str, Any]) -> Schema:
    """Return examples as the document has them."""
    return {name: {"value": value} for name, value in named.items()}


def _expected(told: Operation, envelope: Envelope | None, reads: bool) -> dict[int, Schema]:
    names = {503: "Away"} if reads else {}
    if told.tagged:
        names[304] = "Unchanged"
    if told.query or told.headers or told.keys:
        names[400] = "Wrong"
    if told.body:
        names |= {400: "Invalid", 408: "TooSlow", 413: "TooLarge", 415: "WrongType"}
    if told.keys:
        names[422] = "Reused"
    if told.guards:
        names[401] = "Unauthorized"
    found: dict[int, Schema] = {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}
    if told.body and envelope:
        event = envelope(InvalidEvent(["the body must be valid JSON in UTF-8"]))
        found[400] = _answer(answer(COMMON["Invalid"].about, event=event, request=ERROR))
    return found


def _response(status: int, one: Answer | str, told: Operation) -> Schema:
    if isinstance(one, str):
        error: dict[str, Any] = {"error": ERROR} if status >= 400 else {}
        one = answer(one, headers=RETRY if status == 503 else None, **error)
    return _answer(one, {"ETag": "names this state of the answer"} if told.tagged and status == 200 else {})


def _answer(one: Answer, headers: Mapping[str, str] | None = None) -> Schema:
    made: Schema = {"description": sentence(one.about)}
    if both := {**one.headers, **(headers or {})}:
        made["headers"] = {
            name: {"description": sentence(about), "schema": {"type": "string"}} for name, about in both.items()
        }
    if one.examples or one.media != JSON:
        made["content"] = {one.media: _media(one)}
    return made


def _media(one: Answer) -> Schema:
    body = schema(list(one.examples.values())) if one.examples else {"type": "string"}
    shared = {"$ref": "#/components/schemas/Error"} if body == ERROR_SCHEMA else body
    return {"schema": shared} | ({"examples": examples(one.examples)} if one.examples else {})
