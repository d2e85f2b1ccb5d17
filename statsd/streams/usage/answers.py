"""What is answered about clicks, with examples for the document."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from statsd.web.answers import Instant, PlainError


class StoredClick(msgspec.Struct, rename="camel"):
    """A click as it is stored, or as it waits on disk for the database."""

    id: UUID
    user_id: int
    feature_name: str
    timestamp: Instant


class RefusedClicks(msgspec.Struct):
    """A batch without a valid click: the first error, and the error of each."""

    error: str
    rejected: list[PlainError]


class FeatureCount(msgspec.Struct):
    """The clicks of a feature."""

    feature: str
    count: int


class DayCount(msgspec.Struct):
    """The clicks of a day."""

    date: date
    count: int


class Analytics(msgspec.Struct, rename="camel"):
    """The clicks per feature, most first, and those of one feature per day."""

    bar_chart_data: list[FeatureCount]
    line_chart_data: list[DayCount]


class DayOfClicks(msgspec.Struct, rename="camel"):
    """All clicks of a UTC day."""

    date: date
    total_clicks: int


class UsageOverview(msgspec.Struct, rename="camel"):
    """How many clicks and features there are, and how many clicks today."""

    total_clicks: int
    feature_count: int
    today: DayOfClicks
    generated_at: Instant


WHEN, DAY = "2026-11-21T10:30:00.000Z", date(2026, 11, 21)
EXAMPLE = {"feature_name": "date_filter"}
CLICK = StoredClick(UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59"), 1, "date_filter", WHEN)
ANALYTICS = Analytics([FeatureCount("date_filter", 7)], [DayCount(DAY, 7)])
OVERVIEW = UsageOverview(7, 1, DayOfClicks(DAY, 7), WHEN)
