"""Instants and days: read in one grammar, written in one form, always UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)


def instant(given: str) -> datetime:
    """Return the UTC time of an ISO 8601 / RFC 3339 text; without a zone it is UTC, without a time midnight.

    Raises ValueError for days that no calendar has, offsets over 14 hours, and years outside 1970 to 2099.
    """
    match = _INSTANT.fullmatch(given)
    if match is None:
        raise ValueError("not an ISO 8601 instant")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    leap, second = divmod(second, 60)  # 23:59:60 is the leap second; it folds forward
    if leap and (hour, minute, second) != (23, 59, 0):
        raise ValueError("no such second")
    fraction = int((match[7] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(match[10] or 0), minutes=int(match[11] or 0))
    if offset > timedelta(hours=14):
        raise ValueError("no such offset")
    zone = timezone(-offset if match[9] == "-" else offset)
    return utc(datetime(year, month, day, hour, minute, second or 59 * leap, fraction, zone) + timedelta(seconds=leap))


def calendar_day(given: str) -> date:
    """Return the day that `given` writes as YYYY-MM-DD. Raises ValueError that says what it must be."""
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", given, re.ASCII):
            raise ValueError
        day = date.fromisoformat(given)
    except ValueError:
        raise ValueError("must be in YYYY-MM-DD format") from None
    if not 1970 <= day.year < 2100:
        raise ValueError("must be a day from 1970 to 2099")
    return day


def utc(when: datetime) -> datetime:
    """Return an instant in UTC (naive: it is UTC already). Raises ValueError outside 1970 to 2099."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    if not FIRST_INSTANT <= aware <= LAST_INSTANT:
        raise ValueError("outside 1970 to 2099")
    return aware.astimezone(UTC)


def iso(when: datetime) -> str:
    """Return an instant as `2026-11-21T10:30:00.000Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
