"""Instants: one grammar to read them, one format to write them, always UTC."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
DATE_TIME = {"format": "date-time"}
"""An instant in JSON Schema."""
INSTANT_RULE = "an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z"

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d([T ](?!24)\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII | re.IGNORECASE
)
_LEAP = "23:59:60"


def instant(text: str) -> datetime:
    """Return the UTC time of an ISO 8601 / RFC 3339 text. The zone defaults to UTC, the time to midnight.

    Raises ValueError for dates that do not exist, offsets over 14 hours, and years outside 1970 to 2099.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("not an ISO 8601 instant")
    when = datetime.fromisoformat(text.upper().replace(_LEAP, "23:59:59"))
    if abs(when.utcoffset() or timedelta()) > timedelta(hours=14):
        raise ValueError("no such offset")
    return utc(when + timedelta(seconds=_LEAP in text))  # the leap second becomes 00:00:00


def utc(when: datetime) -> datetime:
    """Return an instant in UTC; a naive one is taken as UTC. Raises ValueError outside 1970 to 2099."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    if aware.tzinfo is not UTC:
        with suppress(OverflowError):  # in the years 1 and 9999
            aware = aware.astimezone(UTC)
    if not FIRST_INSTANT <= aware <= LAST_INSTANT:
        raise ValueError("outside 1970 to 2099")
    return aware


def iso(when: datetime) -> str:
    """Return an instant as `2026-11-21T10:30:00.000Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
