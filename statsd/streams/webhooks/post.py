"""Webhook events (contracts.md §2): whatever another service posts, counted by type, minute, hour and day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from statsd.errors import InvalidEvent, KeyReused, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.refusals import REFUSALS
from statsd.stream import Row
from statsd.streams.webhooks import cloudevents, read, senders
from statsd.streams.webhooks.event import DECODER, WebhookEvent, envelope, fault, row
from statsd.streams.webhooks.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import JSON_TYPES, LINES, read_body
from statsd.web.decode import Decoder, parse
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import iso

TYPES = (*JSON_TYPES, cloudevents.STRUCTURED, cloudevents.BATCH)


Given = tuple[str | None, WebhookEvent | InvalidEvent]
"""An event with the key it brought itself (a CloudEvent's), or what is wrong with it."""


# Taking events in; first what openapi.json shows of it.

EXAMPLE = {"eventType": "page_view", "userId": "123", "timestamp": "2026-11-21T10:30:00.000Z"}
ID = read.STORED["eventId"]
TAKEN = {"success": True, "message": "Event received successfully"}
MANY = {"accepted": 1, "duplicates": 0, "eventIds": [ID], "receivedAt": read.RECEIVED}
FAULT = {"path": ["eventType"], "field": "eventType", "message": "eventType is required", "type": "any.required"}


@Operation(
    origins="any",
    envelope=envelope,
    body=WebhookEvent,
    batch=True,
    example={**EXAMPLE, "metadata": {"page": "home", "browser": "chrome"}},
    media={
        cloudevents.STRUCTURED: "a CloudEvent, its attributes and data in one JSON object",
        cloudevents.BATCH: "an array of them",
    },
    keys=["webhook-id", "Idempotency-Key"],
    headers={
        **senders.HEADERS,
        **{f"ce-{name}": Parameter(str, about) for name, about in cloudevents.IN_HEADERS.items()},
    },
    guards=senders.GUARDS,
    answers={
        200: answer(
            "in the database, or on disk until it is back",
            one={**TAKEN, "data": {"eventId": ID, "receivedAt": read.RECEIVED}},
            many={**TAKEN, "data": {**MANY, "rejected": [{"index": 1, "errors": [FAULT]}]}},
        )
    },
)
async def post_webhook(request: web.Request) -> web.Response:
    """`POST /webhook`: receive an event, or many.

    200 with `eventId` and `receivedAt`, once the event is in the database or safe on disk. One object, an array, one
    event a line (application/x-ndjson), or a CloudEvent in any mode. Of many the good ones are stored: `accepted`,
    `duplicates`, `eventIds`, and `rejected` with the errors of the others (`index` counts from 0, and no blank lines);
    400 only where none is good. `webhook-id` or `Idempotency-Key` make a redelivery count once; another event under the
    same one is 422. 401 where WEBHOOK_API_KEY or WEBHOOK_SECRET ask for more than was sent.
    """
    senders.check_api_key(request)
    binary = cloudevents.is_binary(request.headers)
    body = await read_body(request, types=None if binary else TYPES)
    signed = senders.signed_id(request, body)
    key = signed or accept.idempotency_key(request, "webhook-id") or accept.idempotency_key(request)
    now = datetime.now(UTC)
    try:
        given = _decoded(request, body, signed is not None)
        if isinstance(given, list):
            return await _post_many(request, [_row(one, key, now, place) for place, one in enumerate(given)], now)
        return await _post_one(request, _row(given, key, now))
    except InvalidEvent:
        await request.app[REFUSALS][STREAM.name].count(1)
        raise


def _row(given: Given, key: str | None, now: datetime, place: int = 0) -> Row | InvalidEvent:
    """The row of an event: under its own key, else under the delivery's and its place in it, else under a new id."""
    own, event = given
    if isinstance(event, InvalidEvent):
        return event
    if own is not None:
        return row(event, id_of_key(STREAM.name, f"cloudevent\n{own}"), now)
    # One event alone is the first of many: what is delivered again as an array of one is the same event.
    name = f"delivery\n{key}\n{place}" if place else f"delivery\n{key}"
    return row(event, id_of_key(STREAM.name, name) if key is not None else new_id(), now)


def _decoded(request: web.Request, body: bytes, signed: bool) -> Given | list[Given]:
    """The event, or the many. Raises InvalidEvent for what is no JSON, BadRequest for too much.

    A signature covers the body and the id, no other header. So the id alone names what is in a signed body, and the
    Content-Type never makes more events of it.
    """
    decoder = request.app[DECODER]
    mapped = cloudevents.read(request.headers, body)
    if mapped is not None:
        many = [_converted(decoder, one) for one in (mapped if isinstance(mapped, list) else [mapped])]
        given = [(None if signed else own, event) for own, event in many]
        return given if isinstance(mapped, list) else given[0]
    lines = request.content_type in LINES
    decoded = decoder.decode(body, lines and not (signed and _is_json(body)))
    if isinstance(decoded, list):
        return [(None, one) for one in decoded]
    return [(None, decoded)] if lines else (None, decoded)


def _is_json(body: bytes) -> bool:
    try:
        parse(body)
    except InvalidEvent:
        return False
    return True


def _converted(decoder: Decoder[WebhookEvent], mapped: cloudevents.Mapped | InvalidEvent) -> Given:
    if isinstance(mapped, InvalidEvent):
        return None, InvalidEvent([fault(*one) for one in mapped.faults])
    key, event = mapped
    converted = decoder.convert(event)
    if isinstance(converted, InvalidEvent):
        return None, InvalidEvent([_in_their_words(one) for one in converted.faults])
    return key, converted


def _in_their_words(one: dict[str, Any]) -> dict[str, Any]:
    """A fault of a field by the name that the sender of a CloudEvent gave it."""
    name = cloudevents.WORDS[one["field"]]
    return fault(name, one["type"], one["message"].removeprefix(one["field"]).lstrip())


async def _post_one(request: web.Request, given: Row | InvalidEvent) -> web.Response:
    if isinstance(given, InvalidEvent):
        raise given
    _, found = await accept.one(request, STREAM, given)
    received = found["received_at"] if found else given[-1]
    return _received({"eventId": str(given[0]), "receivedAt": iso(received)})


async def _post_many(request: web.Request, given: Sequence[Row | InvalidEvent], now: datetime) -> web.Response:
    outcomes, found = await accept.many(request, STREAM, given)
    await request.app[REFUSALS][STREAM.name].count(sum(isinstance(outcome, InvalidEvent) for outcome in outcomes))
    ids = [
        values[0]
        for values, outcome in zip(given, outcomes, strict=True)
        if not isinstance(values, InvalidEvent) and not isinstance(outcome, StatsError)
    ]
    wrong = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, StatsError)}
    if not ids:
        return _refused(wrong)
    duplicates = sum(outcome is None for outcome in outcomes)
    return _received({
        "accepted": len(ids) - duplicates,
        "duplicates": duplicates,
        "eventIds": [str(id) for id in ids],
        "receivedAt": iso(min((found[id]["received_at"] for id in ids if id in found), default=now)),
        "rejected": [{"index": index, "errors": _errors(outcome)} for index, outcome in wrong.items()],
    })  # fmt: skip


def _refused(wrong: Mapping[int, StatsError]) -> web.Response:
    """What is said of a batch in which nothing was good. Raises KeyReused where that is all that was wrong."""
    first = next(iter(wrong.values()))
    if all(isinstance(outcome, KeyReused) for outcome in wrong.values()):
        raise first
    faults = [{**one, "path": [index, *one["path"]]} for index, outcome in wrong.items() for one in _errors(outcome)]
    return json_response(envelope(InvalidEvent(faults)), 400)


def _errors(outcome: StatsError) -> list[dict[str, Any]]:
    if isinstance(outcome, InvalidEvent):
        rows: list[dict[str, Any]] = envelope(outcome)["errors"]
        return rows
    return [fault("", "any.key", str(outcome))]


def _received(data: dict[str, Any]) -> web.Response:
    return json_response({**TAKEN, "data": data})
