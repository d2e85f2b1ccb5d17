"""A webhook event: what a service sends, its faults in the words of the contract, the row it becomes."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web

from statsd.errors import InvalidEvent
from statsd.settings import SETTINGS
from statsd.stream import Row
from statsd.streams.webhooks import cloudevents
from statsd.web.decode import Decoder, text
from statsd.web.times import utc

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not where the backslash is a letter itself


def exceeded(value: dict[str, Any], *, size: int, depth: int, nodes: int) -> str | None:
    """Return what a JSON object must be and is not: of so many bytes as compact JSON, levels, values, without NUL.

    The bytes are those that PostgreSQL gives back: it knows no exponents, and writes 1e308 with 309 digits. The few
    numbers that are shorter so count as they were sent.
    """
    level: list[Any] = [value]
    floats: list[float] = []
    levels = seen = 0
    while level:
        levels, seen = levels + 1, seen + len(level)
        if levels > depth or seen > nodes:
            return f"must be at most {depth} levels deep and have at most {nodes} values"
        floats += [one for one in level if type(one) is float]
        insides = [one.values() if type(one) is dict else one for one in level if type(one) in (dict, list)]
        level = [*chain.from_iterable(insides)]
    if not all(map(math.isfinite, floats)):
        return "must not hold numbers beyond 1.7976931348623157e308"
    written = msgspec.json.encode(value)
    if b"\\u0000" in written and _NUL.search(written):
        return "must not hold the character NUL"
    room = size - len(written)
    if _exponents(floats, room) > room:
        return f"must have at most {size} bytes as compact JSON, numbers written without exponents"
    return None


def _exponents(floats: Sequence[float], enough: int) -> int:
    """How many bytes longer numbers are without exponents; the rest is not counted once it is more than `enough`."""
    longer = 0
    written = msgspec.json.encode(floats).decode()
    for short in written[1:-1].split(",") if "e" in written else ():
        if "e" in short:
            longer += max(0, len(format(Decimal(short), "f")) - len(short))
        if longer > enough:
            break
    return longer


TYPE_CHARACTERS = 50

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


DECODER: web.AppKey[Decoder[WebhookEvent]] = web.AppKey("webhook_decoder")


async def decoder_of_settings(app: web.Application) -> AsyncIterator[None]:
    """The decoder is as strict as the settings say."""
    settings = app[SETTINGS]
    struct = StrictEvent if settings.webhook_strict else WebhookEvent
    app[DECODER] = Decoder(struct, partial(check, allowed=settings.webhook_event_types), explain)
    yield
