"""The bodies of answers about webhook events, with examples for the OpenAPI document."""

from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from statsd.errors import InvalidEvent, StatsError
from statsd.web.answers import Failure, Instant

T = TypeVar("T")
Json = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class StoredEvent(
    msgspec.Struct,
    rename={"id": "eventId", "event_type": "eventType", "user_id": "userId", "received_at": "receivedAt"},
):
    """A stored event; `metadata` is absent if it has none."""

    id: UUID
    event_type: str
    user_id: str
    timestamp: Instant
    received_at: Instant
    metadata: Json | UnsetType = UNSET


class EventPage(msgspec.Struct, rename="camel"):
    """A page of a window's events; `nextCursor` is the `cursor` of the next page, null on the last page."""

    events: list[StoredEvent]
    count: int
    filter: str
    next_cursor: str | None


class EventFile(msgspec.Struct, rename="camel"):
    """All events of a window."""

    filter: str
    exported_at: Instant
    events: list[StoredEvent]
    total_count: int


class EventCounts(msgspec.Struct, rename="camel"):
    """The events of a window by type; `otherEvents` counts the types beyond the 1,000 largest."""

    total_events: int
    invalid_events: int
    statistics: dict[str, int]
    filter: str
    other_events: int | UnsetType = UNSET


class EventBin(msgspec.Struct):
    """The events received in the minute, hour or day that begins at `timestamp`."""

    timestamp: Instant
    count: int


class EventType(msgspec.Struct):
    """The events of a type; `percentage` is its share of all events."""

    type: str
    count: int
    percentage: float


class ByWindow(msgspec.Struct, Generic[T]):
    """Lists for the last hour, day and week: 60, 24 and 7 bins, or the largest types."""

    hour: list[T]
    day: list[T]
    week: list[T]


class WebhooksOverview(msgspec.Struct, rename="camel"):
    """The statistics on the dashboard."""

    total_events: int
    invalid_events: int
    events_this_minute: int
    top_event_types: list[EventType]
    events_per_minute: list[EventBin]
    segmented_data: ByWindow[EventBin]
    segmented_top_event_types: ByWindow[EventType]
    generated_at: Instant


class Fault(msgspec.Struct):
    """A fault of an event: the field, a sentence, and the kind of fault."""

    path: list[str | int]
    field: str
    message: str
    type: str

    @classmethod
    def of(cls, field: str, kind: str, must: str) -> Self:
        """Return a fault from a field (empty: the whole event), the kind of fault, and what the field must be."""
        return cls([field] if field else [], field, f"{field} {must}".lstrip(), kind)


class RejectedEvent(msgspec.Struct):
    """A refused event of a batch; `index` counts from 0 and skips blank lines."""

    index: int
    errors: list[Fault]


class RefusedDelivery(msgspec.Struct, rename="camel"):
    """A refused delivery: when, the client's address (as STATS_IP leaves it), the way in, the answer, and why."""

    refused_at: Instant
    address: str
    path: str
    status: int
    reasons: list[str]


class RefusedDeliveries(msgspec.Struct):
    """The latest refused deliveries, a hundred at most."""

    refusals: list[RefusedDelivery]
    count: int


class Receipt(msgspec.Struct, rename="camel"):
    """The id of the event, and when it was first received."""

    event_id: UUID
    received_at: Instant


class BatchReceipt(msgspec.Struct, rename="camel"):
    """The numbers of new and of known events of a batch, and the refused events."""

    accepted: int
    duplicates: int
    event_ids: list[UUID]
    received_at: Instant
    rejected: list[RejectedEvent]


class Challenge(msgspec.Struct):
    """The answer to a service that asks whether anybody is there: its own text."""

    challenge: str


class InvalidWebhook(msgspec.Struct):
    """All faults of an event or of a batch; in a batch, `path` begins with the index of the event."""

    success: Failure
    message: str
    errors: list[Fault]

    @classmethod
    def of(cls, error: InvalidEvent) -> Self:
        return cls(False, "Validation failed", faults_of(error))


def faults_of(error: StatsError) -> list[Fault]:
    """Return the faults of an event that was refused; a fault of the whole event has no field."""
    if not isinstance(error, InvalidEvent):
        return [Fault.of("", "any.key", str(error))]
    return [fault if isinstance(fault, Fault) else Fault.of("", "object.base", fault) for fault in error.faults]


ID = UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59")
SENT_AT, RECEIVED_AT = "2026-11-21T10:30:00.000Z", "2026-11-21T10:30:00.125Z"
MESSAGE = "Event received successfully"
EXAMPLE: dict[str, Any] = {
    "eventType": "page_view",
    "userId": "123",
    "timestamp": SENT_AT,
    "metadata": {"page": "home", "browser": "chrome"},
}
STORED = StoredEvent(ID, "page_view", "123", SENT_AT, RECEIVED_AT)
PAGE = EventPage([STORED], 1, "hour", None)
