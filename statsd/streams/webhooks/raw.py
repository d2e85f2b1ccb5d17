"""Webhook events in files: an event as clients send it, with its id and when it was received.

The names are those of `/export/ndjson`, whose files can be read, too.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from statsd.database.pool import compact
from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams.raw import Id, Raw
from statsd.streams.webhooks.event import WebhookEvent, check, explain, row
from statsd.streams.webhooks.stream import STREAM
from statsd.web.decode import When
from statsd.web.times import utc


class RawEvent(WebhookEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored event."""

    eventId: Id | None = None  # noqa: N815 - the contract's own names
    receivedAt: When | None = None  # noqa: N815


class Metadata(msgspec.Struct):
    """The metadata of a record as it stands in the file."""

    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ExactEvent(NamedTuple):
    """An event, and its metadata as JSON: a number of PostgreSQL may have more digits than one of Python."""

    event: RawEvent
    metadata: str | None


class RawEvents(Raw):
    """The records of events."""

    def decode(self, line: bytes) -> ExactEvent:
        event: RawEvent = super().decode(line)
        text = msgspec.json.decode(line, type=Metadata).metadata if event.metadata is not None else msgspec.UNSET
        return ExactEvent(event, bytes(text).decode() if text is not msgspec.UNSET else None)

    def id_of(self, record: ExactEvent) -> UUID | None:
        return super().id_of(record.event)


def raw_row(exact: ExactEvent, id: UUID, settings: Settings) -> Row:
    """Return the values of `STREAM.columns`."""
    received = exact.event.receivedAt
    when = utc(received) if received else datetime.now(UTC)
    *others, metadata, now = row(exact.event, id, when, settings.ip)
    return (*others, exact.metadata if settings.ip == "full" else metadata, now)


def values(stored: asyncpg.Record) -> dict[str, Any]:
    """Return the values of a stored event by their names on the wire, with metadata as PostgreSQL has it."""
    named = {
        "eventId": stored["id"],
        "eventType": stored["event_type"],
        "userId": stored["user_id"],
        "timestamp": stored["timestamp"],
        "receivedAt": stored["received_at"],
    }
    metadata = stored["metadata"]
    return named if metadata is None else {**named, "metadata": msgspec.Raw(compact(metadata))}


RAW = (
    RawEvents(STREAM, RawEvent, check, raw_row, explain=explain, id="eventId", values=values, received="received_at"),
)
