"""The bodies of answers about clicks, and their examples in the OpenAPI document."""

from datetime import date
from uuid import UUID

import msgspec

from statsd.web.answers import Instant, PlainError


class StoredClick(msgspec.Struct, rename="camel"):
    """A click that is stored, or waits on disk for the database."""

    id: UUID
    user_id: int
    feature_name: str
    timestamp: Instant


class RefusedClicks(msgspec.Struct):
    """The errors of a batch without a valid click: that of the first click, and those of all."""

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
    """The clicks per feature, the largest number first, and the clicks per day."""

    bar_chart_data: list[FeatureCount]
    line_chart_data: list[DayCount]


class DayOfClicks(msgspec.Struct, rename="camel"):
    """All clicks of a UTC day."""

    date: date
    total_clicks: int


class UsageOverview(msgspec.Struct, rename="camel"):
    """The numbers of all clicks, of all features, and of today's clicks."""

    total_clicks: int
    feature_count: int
    today: DayOfClicks
    generated_at: Instant


EXAMPLE = {"feature_name": "date_filter"}
CLICK = StoredClick(UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59"), 1, "date_filter", "2026-11-21T10:30:00.000Z")
