"""A page event: what a site sends, and the row it becomes."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from statsd.ingest.accept import EVENT_ID
from statsd.stream import Row
from statsd.web.decode import label, text
from statsd.web.paths import page
from statsd.web.texts import NO_CONTROLS
from statsd.web.times import DATE_TIME, FIRST_INSTANT, Tomorrow, utc

SITE_CHARACTERS = 128
TYPE_CHARACTERS = 128
USER_CHARACTERS = 256
PATH_BYTES = 2_048  # a key of an index has at most 2,704 bytes, and this one begins with the site
VIEW = "page_view"

User = msgspec.Meta(max_length=USER_CHARACTERS, pattern=NO_CONTROLS, description="a string if provided")
TOO_LATE = "timestamp must not be more than a day in the future"
TOMORROW = Tomorrow()

When = msgspec.Meta(description="a valid ISO 8601 date string", extra_json_schema=DATE_TIME)


class PageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor did on a site. `event_id` is the sender's own id of the event: a repeat under it counts once."""

    site_id: Annotated[str, text(SITE_CHARACTERS)]
    event_type: Annotated[str, label(TYPE_CHARACTERS)]
    path: Annotated[str, text(PATH_BYTES, page)]
    user_id: Annotated[str, User] | None = None
    timestamp: Annotated[datetime, When]
    event_id: Annotated[str, EVENT_ID] | None = None


def check_stored(event: PageEvent) -> list[str]:
    """Return the faults of an event that the types of its fields do not show."""
    try:
        utc(event.timestamp)
    except ValueError:
        return [f"timestamp must be {When.description}"]
    return []


def check(event: PageEvent) -> list[str]:
    """Return the same for an event that a site sends: it would be missing today if it were dated far ahead."""
    if event.timestamp.tzinfo is UTC and FIRST_INSTANT <= event.timestamp <= TOMORROW.known:
        return []  # as of nearly all events
    try:
        when = utc(event.timestamp)
    except ValueError:
        return [f"timestamp must be {When.description}"]
    return [TOO_LATE] if TOMORROW.is_before(when) else []


def explain(name: str, value: Any) -> str | None:
    """Return the fault of a field in the words that clients expect; None for the usual words."""
    missing = not isinstance(value, str) or not value
    if name in ("site_id", "event_type", "path") and (missing or not value.strip()):
        return f"{name} is required and must be a non-empty string"
    if name == "path" and re.match(NO_CONTROLS, value):
        unit = "bytes in UTF-8" if len(value.encode()) > PATH_BYTES else "characters, percent-encoded"
        return f"path must have at most {PATH_BYTES} {unit}"
    if name == "timestamp" and missing:
        return "timestamp is required and must be an ISO 8601 string"
    if name == "user_id" and isinstance(value, str):
        return f"user_id must have at most {USER_CHARACTERS} characters and no control characters"
    return None


def row(event: PageEvent, id: UUID) -> Row:
    """Return the values of `STREAM.columns`. An empty `user_id` becomes None."""
    when = event.timestamp
    return (
        id,
        event.site_id,
        event.event_type,
        event.path,
        event.user_id or None,
        when if when.tzinfo is UTC else utc(when),
    )
