"""Webhook events (contracts.md §2): whatever another service posts, counted by type, minute, hour and day."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web

from statsd import accept, cloudevents, received, senders
from statsd.channel import CHANNEL
from statsd.database import DSN, POOL
from statsd.decode import Decoder, exceeded, iso, parse, text, utc
from statsd.errors import InvalidEvent, KeyReused, StatsError
from statsd.export import EXPORTS, Exports
from statsd.ingest import id_of_key, new_id
from statsd.live import HUB
from statsd.operation import Operation, Parameter, answer
from statsd.refusals import REFUSALS, Refusals
from statsd.settings import SETTINGS
from statsd.stream import Row, Stream
from statsd.tasks import background
from statsd.web import JSON_TYPES, LINES, json_response, read_body

TYPE_CHARACTERS = 50
TYPES = (*JSON_TYPES, cloudevents.STRUCTURED, cloudevents.BATCH)

When = msgspec.Meta(description="an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z")

METADATA_BYTES, METADATA_LEVELS, METADATA_VALUES = 16 * 1024, 12, 2_000
Metadata = msgspec.Meta(
    description=f"a JSON object of at most {METADATA_BYTES} bytes as compact JSON, {METADATA_LEVELS} levels and"
    f" {METADATA_VALUES} values"
)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What another service has to say; without a timestamp it happened when it was received."""

    eventType: Annotated[str, text(TYPE_CHARACTERS)]  # noqa: N815 - the contract's own names
    userId: Annotated[str, text(cloudevents.USER_CHARACTERS)]  # noqa: N815
    timestamp: Annotated[datetime, When] | None = None
    metadata: Annotated[dict[str, Any], Metadata] | None = None


class StrictEvent(WebhookEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, where WEBHOOK_STRICT refuses what the contract does not name."""


Given = tuple[str | None, WebhookEvent | InvalidEvent]
"""An event with the key it brought itself (a CloudEvent's), or what is wrong with it."""

# What is wrong: a row {path, field, message, type} each, the type in the words of the contract.


def fault(field: str, kind: str, must: str) -> dict[str, Any]:
    """Return a row of `errors`: which field, what it must be, and the kind of the fault."""
    return {"path": [field] if field else [], "field": field, "message": f"{field} {must}".lstrip(), "type": kind}


UNNAMED = ...
"""What a Decoder gives in place of a value that has no field."""


def explain(name: str, given: Any) -> dict[str, Any]:
    """The fault of a field that could not be decoded, or (UNNAMED) of one that the contract does not name."""
    if given is UNNAMED:
        return fault(name, "object.unknown", "is not allowed")
    if name == "metadata":
        return fault(name, "object.base", "must be a JSON object")
    if name == "timestamp":
        return fault(name, "string.isoDate", f"must be {When.description}")
    return fault(name, *_wrong_text(given, TYPE_CHARACTERS if name == "eventType" else cloudevents.USER_CHARACTERS))


def _wrong_text(given: Any, longest: int) -> tuple[str, str]:
    if given is None:
        return "any.required", "is required"
    if not isinstance(given, str):
        return "string.base", "must be a string"
    if not given.strip():
        return "string.empty", "must not be empty"
    if len(given) > longest:
        return "string.max", f"must have at most {longest} characters"
    return "string.pattern.base", "must not have control characters"


def check(event: WebhookEvent, allowed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what is wrong with an event beyond the types of its fields; `allowed` event types, if they are limited."""
    faults = []
    if allowed and event.eventType not in allowed:
        faults.append(fault("eventType", "any.only", f"must be one of {', '.join(allowed)}"))
    try:
        utc(event.timestamp or datetime.now(UTC))
    except ValueError:
        faults.append(explain("timestamp", event.timestamp))
    if event.metadata and (limit := _exceeded(event.metadata)):
        faults.append(fault("metadata", "object.max", limit))
    return faults


def _exceeded(metadata: dict[str, Any]) -> str | None:
    return exceeded(metadata, size=METADATA_BYTES, depth=METADATA_LEVELS, nodes=METADATA_VALUES)


def envelope(invalid: InvalidEvent) -> dict[str, Any]:
    """The body of a 400: every fault in the form of the contract."""
    rows = [one if isinstance(one, dict) else fault("", "object.base", one) for one in invalid.faults]
    return {"success": False, "message": "Validation failed", "errors": rows}


def row(event: WebhookEvent, id: UUID, received: datetime | None = None) -> Row:
    """Return the values of `STREAM.columns`; the event was `received` then (None: now), all of a delivery at once."""
    now = received or datetime.now(UTC)
    metadata = msgspec.json.encode(event.metadata).decode() if event.metadata is not None else None
    return (id, event.eventType, event.userId, utc(event.timestamp) if event.timestamp else now, metadata, now)


# Taking events in; first what openapi.json shows of it.

EXAMPLE = {"eventType": "page_view", "userId": "123", "timestamp": "2026-11-21T10:30:00.000Z"}
ID = received.STORED["eventId"]
TAKEN = {"success": True, "message": "Event received successfully"}
MANY = {"accepted": 1, "duplicates": 0, "eventIds": [ID], "receivedAt": received.RECEIVED}
FAULT = {"path": ["eventType"], "field": "eventType", "message": "eventType is required", "type": "any.required"}


@Operation(
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
            one={**TAKEN, "data": {"eventId": ID, "receivedAt": received.RECEIVED}},
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
        await request.app[REFUSALS].count(1)
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
    await request.app[REFUSALS].count(sum(isinstance(outcome, InvalidEvent) for outcome in outcomes))
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


@Operation(answers={200: answer("60 minutes, 24 hours, 7 days", overview=received.OVERVIEW)})
async def get_overview(request: web.Request) -> web.Response:
    """`GET /webhooks`: counts, and the three windows with their bins and largest types; the live topic `webhooks`."""
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/webhook", post_webhook),
        web.get("/webhooks", get_overview),
        *received.routes(),
    ]


DECODER: web.AppKey[Decoder[WebhookEvent]] = web.AppKey("webhook_decoder")


async def reading_and_counting(app: web.Application) -> AsyncIterator[None]:
    """What the handlers need: a decoder as strict as the settings say, the count of refusals, and the exports."""
    told = app[SETTINGS]
    struct = StrictEvent if told.webhook_strict else WebhookEvent
    app[DECODER] = Decoder(struct, partial(check, allowed=told.webhook_event_types), explain)
    app[EXPORTS] = Exports(app[DSN])
    app[REFUSALS] = Refusals(STREAM.name, app[POOL], app[CHANNEL].announce)
    async with background(app, "refusals", app[REFUSALS].run()):
        yield
        await app[REFUSALS].flush()  # before the task ends, which may be counting at this moment


# What the generator draws from: types with their share, and pages.
SHARES = {"page_view": 55, "log": 18, "user_message": 14, "user_joined": 8, "user_disconnect": 5}
PAGES = ("home", "profile", "settings", "dashboard")
BROWSERS = {"chrome": 64, "safari": 19, "edge": 9, "firefox": 8}
USERS = 2_000


def sample(rng: random.Random) -> WebhookEvent:
    """Return a realistic event of the last few seconds, as services deliver them."""
    browser = rng.choices(list(BROWSERS), list(BROWSERS.values()))[0]
    return WebhookEvent(
        eventType=rng.choices(list(SHARES), list(SHARES.values()))[0],
        userId=str(1 + int(USERS * rng.random() ** 2)),
        timestamp=datetime.now(UTC) - timedelta(seconds=min(rng.expovariate(1.0), 30)),
        metadata={"page": rng.choice(PAGES), "browser": browser} if rng.random() < 0.9 else None,
    )


def wrong(rng: random.Random) -> tuple[str, bytes]:
    """Return the path and the body of a delivery that is refused: services send such things now and then."""
    event = {"eventType": "page_view", "userId": "123", "timestamp": "2024-01-01T12:00:00Z"}
    field = rng.choice(list(event))
    return "/webhook", msgspec.json.encode({**event, field: rng.choice([7, "", "yesterday\n"])})


STREAM = Stream(
    name="webhooks",
    table="webhook_events",
    event=WebhookEvent,
    columns={
        "id": UUID,
        "event_type": str,
        "user_id": str,
        "timestamp": datetime,
        "metadata": str | None,
        "received_at": datetime,
    },
    row=row,
    sample=sample,
    routes=routes,
    open_paths=frozenset(route.path for route in routes()),
    envelope=envelope,
    contexts=(reading_and_counting,),
    wrong=wrong,
)  # fmt: skip
