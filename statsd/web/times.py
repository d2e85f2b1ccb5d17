"""Instants: one grammar to read them, one format to write them, always UTC.

The grammar is RFC 3339 §5.6, and more: a space in place of the T, a comma before the fraction, `+hhmm` and `+hh`. The
zone, the seconds and the time of day may be missing. Fractions have up to a thousand digits; they are cut to
microseconds and never rounded: the last moment of a day belongs to that day. Leap seconds (§5.7) are judged in UTC.
"""

import re
from datetime import UTC, datetime, time, timedelta

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
DATE_TIME = {"format": "date-time"}
"""An instant in JSON Schema."""
INSTANT_RULE = "an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z"

LONGEST_OFFSET = timedelta(hours=14)

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d([T ](?!24)\d\d:\d\d(:(\d\d)([.,]\d{1,1000})?)?(Z|[+-]\d\d(:?[0-5]\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_SECOND, _LEAP = 3, "60"
_MIDNIGHT = time()


def instant(text: str) -> datetime:
    """Return the UTC time of an ISO 8601 / RFC 3339 text. The zone defaults to UTC, the time to midnight.

    Any day may end in a leap second, which becomes the midnight after it.

    Raises ValueError for dates that do not exist, offsets over 14 hours, and years outside 1970 to 2099.
    """
    parts = _INSTANT.fullmatch(text)
    if not parts:
        raise ValueError("not an ISO 8601 instant")
    text = text.upper()
    if parts[_SECOND] != _LEAP:
        return utc(datetime.fromisoformat(text))
    start, end = parts.span(_SECOND)
    when = _in_utc(datetime.fromisoformat(f"{text[:start]}59{text[end:]}")) + timedelta(seconds=1)
    if when.time().replace(microsecond=0) != _MIDNIGHT:
        raise ValueError("no such second: a leap second is 23:59:60 in UTC")
    return utc(when)


def utc(when: datetime) -> datetime:
    """Return an instant in UTC; a naive one is taken as UTC.

    Raises ValueError for offsets over 14 hours, and outside 1970 to 2099.
    """
    aware = when if when.tzinfo is UTC else _in_utc(when)
    if not FIRST_INSTANT <= aware <= LAST_INSTANT:
        raise ValueError("outside 1970 to 2099")
    return aware


def _in_utc(when: datetime) -> datetime:
    if not datetime.min.year < when.year < datetime.max.year:  # beyond which `astimezone` fails
        raise ValueError("outside 1970 to 2099")
    if when.tzinfo is None:
        return when.replace(tzinfo=UTC)
    if abs(when.utcoffset() or timedelta()) > LONGEST_OFFSET:
        raise ValueError("no such offset")
    return when.astimezone(UTC)


class Tomorrow:
    """One day from now, for clocks that are ahead: what is dated later than that is a mistake."""

    def __init__(self) -> None:
        self.known = FIRST_INSTANT
        """Tomorrow when the clock was last read; only for a later event is it read again."""

    def is_before(self, when: datetime) -> bool:
        """Whether an instant is later than tomorrow."""
        self.known = datetime.now(UTC) + timedelta(days=1)
        return self.known < when


def iso(when: datetime) -> str:
    """Return an instant as `2026-11-21T10:30:00.000Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
