"""A webhook event: what a service sends, its faults in the words of the contract, the row it becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web

from statsd.settings import SETTINGS
from statsd.stream import Row
from statsd.streams.webhooks import cloudevents, metadata
from statsd.streams.webhooks.answers import Fault, fault
from statsd.web.decode import Decoder, text
from statsd.web.times import DATE_TIME, utc

When = msgspec.Meta(
    description="an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z", extra_json_schema=DATE_TIME
)
Metadata = msgspec.Meta(description=metadata.RULE)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What another service has to say; without a timestamp it happened when it was received."""

    eventType: Annotated[str, text(cloudevents.TYPE_CHARACTERS)]  # noqa: N815 - the contract's own names
    userId: Annotated[str, text(cloudevents.USER_CHARACTERS)]  # noqa: N815
    timestamp: Annotated[datetime, When] | None = None
    metadata: Annotated[dict[str, Any], Metadata] | None = None


class StrictEvent(WebhookEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, where WEBHOOK_STRICT refuses what the contract does not name."""


# What is wrong, in the words of the contract.

UNNAMED = ...
"""What a Decoder gives in place of a value that has no field."""


def explain(name: str, given: Any) -> Fault:
    """The fault of a field that could not be decoded, or (UNNAMED) of one that the contract does not name."""
    if given is UNNAMED:
        return fault(name, "object.unknown", "is not allowed")
    if name == "metadata":
        return fault(name, "object.base", "must be a JSON object")
    if name == "timestamp":
        return fault(name, "string.isoDate", f"must be {When.description}")
    longest = cloudevents.TYPE_CHARACTERS if name == "eventType" else cloudevents.USER_CHARACTERS
    return fault(name, *_wrong_text(given, longest))


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


def check(event: WebhookEvent, allowed: Sequence[str] = ()) -> list[Fault]:
    """Return what is wrong with an event beyond the types of its fields; `allowed` event types, if they are limited."""
    faults = []
    if allowed and event.eventType not in allowed:
        faults.append(fault("eventType", "any.only", f"must be one of {', '.join(allowed)}"))
    try:
        utc(event.timestamp or datetime.now(UTC))
    except ValueError:
        faults.append(explain("timestamp", event.timestamp))
    if event.metadata and (must := metadata.fault(event.metadata)):
        faults.append(fault("metadata", "object.max", must))
    return faults


def row(event: WebhookEvent, id: UUID, received: datetime | None = None) -> Row:
    """Return the values of `STREAM.columns`; the event was `received` then (None: now), all of a delivery at once."""
    now = received or datetime.now(UTC)
    encoded = msgspec.json.encode(event.metadata).decode() if event.metadata is not None else None
    return (id, event.eventType, event.userId, utc(event.timestamp) if event.timestamp else now, encoded, now)


DECODER: web.AppKey[Decoder[WebhookEvent]] = web.AppKey("webhook_decoder")


async def decoder_of_settings(app: web.Application) -> AsyncIterator[None]:
    """The decoder is as strict as the settings say."""
    settings = app[SETTINGS]
    struct = StrictEvent if settings.webhook_strict else WebhookEvent
    app[DECODER] = Decoder(struct, partial(check, allowed=settings.webhook_event_types), explain)
    yield
