"""The answers of an operation: what it declares, and what follows from its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statsd.errors import InvalidEvent
from statsd.site.schemas import Schema, Schemas
from statsd.web.answers import InvalidPayload, Refusal, Rejected
from statsd.web.operation import JSON, Answer, Operation, answer

DETAILS = ["region is required and must be a non-empty string of at most 100 characters without control characters"]
SENTENCE = "this key was used with another event: use a new one for a new event"
RETRY = {"Retry-After": "seconds after which to try again"}
BROKEN = Refusal(False, *["the body is broken: its length or its compression is wrong"] * 2)


def _refused(about: str, sentence: str, headers: Mapping[str, str] | None = None) -> Answer:
    return answer(about, Refusal, headers=headers, error=Refusal(False, sentence, sentence))


COMMON = {
    "Unchanged": answer("not modified"),
    "Wrong": _refused("invalid parameter or header", "limit must be a number from 1 to 1000"),
    "Invalid": answer(
        "invalid event, with all its faults, or no valid event in the batch",
        InvalidPayload,
        Refusal,
        one=InvalidPayload("Invalid payload", DETAILS),
        many=InvalidPayload("Invalid payload", rejected=[Rejected(0, DETAILS)]),
        broken=BROKEN,
    ),
    "Unauthorized": _refused("missing or wrong credentials", "Invalid or missing API key"),
    "TooSlow": _refused("the body did not arrive in time", "the body did not arrive within 10 s"),
    "TooLarge": _refused(
        "the body is too large, or the batch has too many events", "one event must not be larger than 1048576 bytes"
    ),
    "WrongType": _refused(
        "unknown content type or encoding", "Content-Type: must be application/json (got application/xml)"
    ),
    "Reused": answer(
        "the key was used with another event", Refusal, reused=Refusal(False, SENTENCE, SENTENCE, [SENTENCE])
    ),
    "Away": _refused("the database is away, or too much is waiting", "the database is away, try again", RETRY),
}
"""Answers that follow from the kind of an operation, by the name they have among the components."""


def responses(operation: Operation, schemas: Schemas, *, asks_database: bool) -> Schema:
    """Return the answers of an operation by status."""
    made = _expected(operation, schemas, asks_database)
    for status, one in operation.answers.items():
        made[status] = _declared(status, one, operation, schemas)
    return {str(status): made[status] for status in sorted(made)}


def response(one: Answer, schemas: Schemas, headers: Mapping[str, str] | None = None) -> Schema:
    """Return an answer as the document has it."""
    made: Schema = {"description": sentence(one.about)}
    if both := {**one.headers, **(headers or {})}:
        made["headers"] = {
            name: {"description": sentence(about), "schema": {"type": "string"}} for name, about in both.items()
        }
    content: Schema = {}
    if one.bodies:
        content[JSON] = {"schema": schemas.any_of(one.bodies), "examples": named(one.examples)}
    for media, text in one.texts.items():
        content[media] = {"schema": {"type": "string"}, "examples": named({"text": text})}
    return {**made, "content": content} if content else made


def named(examples: Mapping[str, Any]) -> Schema:
    """Return examples as the document has them."""
    return {name: {"value": value} for name, value in examples.items()}


def sentence(text: str) -> str:
    """Return the text with a capital in front."""
    return text[:1].upper() + text[1:]


def _expected(operation: Operation, schemas: Schemas, asks_database: bool) -> dict[int, Schema]:
    names = {503: "Away"} if asks_database else {}
    if operation.tagged:
        names[304] = "Unchanged"
    if operation.query or operation.headers or operation.keys:
        names[400] = "Wrong"
    if operation.body:
        names |= {400: "Invalid", 408: "TooSlow", 413: "TooLarge", 415: "WrongType"}
    if operation.keys:
        names[422] = "Reused"
    if operation.guards:
        names[401] = "Unauthorized"
    made: dict[int, Schema] = {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}
    if operation.body and operation.envelope is not InvalidPayload:
        event = operation.envelope.of(InvalidEvent(["the body must be valid JSON in UTF-8"]))
        own = answer(COMMON["Invalid"].about, type(event), Refusal, event=event, broken=BROKEN)
        made[400] = response(own, schemas)
    return made


def _declared(status: int, one: Answer | str, operation: Operation, schemas: Schemas) -> Schema:
    if isinstance(one, str):
        one = answer(one, *[Refusal][: status >= 400], headers=RETRY if status == 503 else None)
    tag = {"ETag": "identifies this state of the answer"} if operation.tagged and status == 200 else None
    return response(one, schemas, tag)
