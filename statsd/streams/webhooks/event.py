"""A webhook event: its fields, its faults as the contract words them, and its row."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from statsd.stream import Row
from statsd.streams.webhooks import metadata
from statsd.streams.webhooks.answers import Fault
from statsd.web.addresses import cut_values
from statsd.web.decode import When, label, text
from statsd.web.times import INSTANT_RULE, utc

TYPE_CHARACTERS = 128
USER_CHARACTERS = 100

Metadata = msgspec.Meta(description=metadata.RULE)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of another service; `timestamp` defaults to the time of receipt."""

    eventType: Annotated[str, label(TYPE_CHARACTERS)]  # noqa: N815 - the contract's own names
    userId: Annotated[str, text(USER_CHARACTERS)]  # noqa: N815
    timestamp: When | None = None
    metadata: Annotated[dict[str, Any], Metadata] | None = None


class StrictEvent(WebhookEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with WEBHOOK_STRICT, which refuses unknown fields."""


class KeyedEvent(NamedTuple):
    """An event, and its own idempotency key, if it has one; a key has a meaning within its `scope`."""

    event: WebhookEvent
    key: str | None = None
    scope: str = "cloudevent"
    is_shared: bool = False
    """Whether all events of the delivery have the key, so that their index is part of it."""
    by_id: bool = False
    """Whether the key alone makes it a repeat, whatever else differs."""


def explain(name: str, value: Any) -> Fault:
    """Return the fault of a field with an invalid value, or of an unknown field (`...`)."""
    if value is ...:
        return Fault.of(name, "object.unknown", "is not allowed")
    if name == "metadata":
        return Fault.of(name, "object.base", "must be a JSON object")
    if name == "timestamp":
        return Fault.of(name, "string.isoDate", f"must be {INSTANT_RULE}")
    longest = TYPE_CHARACTERS if name == "eventType" else USER_CHARACTERS
    return Fault.of(name, *_text_fault(value, longest))


def _text_fault(value: Any, longest: int) -> tuple[str, str]:
    """Return the kind of fault, and what the text must be."""
    if value is None:
        return "any.required", "is required"
    if not isinstance(value, str):
        return "string.base", "must be a string"
    if not value.strip():
        return "string.empty", "must not be empty"
    if len(value) > longest:
        return "string.max", f"must have at most {longest} characters"
    return "string.pattern.base", "must not have control or invisible characters"


def check(event: WebhookEvent, allowed: Sequence[str] = ()) -> list[Fault]:
    """Return the faults of an event whose fields have the right types; `allowed` are the event types (empty: any)."""
    faults = []
    if allowed and event.eventType not in allowed:
        faults.append(Fault.of("eventType", "any.only", f"must be one of {', '.join(allowed)}"))
    try:
        if event.timestamp:
            utc(event.timestamp)
    except ValueError:
        faults.append(explain("timestamp", event.timestamp))
    if event.metadata and (must := metadata.fault(event.metadata)):
        faults.append(Fault.of("metadata", "object.max", must))
    return faults


def row(event: WebhookEvent, id: UUID, received: datetime | None = None, ip_kept: str = "full") -> Row:
    """Return the values of `STREAM.columns`; `received` (None: now) is the same for all events of a delivery."""
    now = received or datetime.now(UTC)
    data = event.metadata if ip_kept == "full" else cut_values(event.metadata, ip_kept)
    encoded = msgspec.json.encode(data).decode() if data is not None else None
    return (id, event.eventType, event.userId, utc(event.timestamp) if event.timestamp else now, encoded, now)


USER_FIELDS = ("user", "userid", "username", "subject")
"""Fields of metadata that name a person, in lower case and without underscores; `person` in the SQL has the same."""


def people(row: Row) -> set[str]:
    """Return the users that a row names: its own, and those in the fields of its metadata."""
    data = msgspec.json.decode(row[4]) if row[4] else {}
    named = {str(value) for name, value in data.items() if name.replace("_", "").lower() in USER_FIELDS}
    return {row[2], *named}
