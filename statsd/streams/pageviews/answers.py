"""The bodies of answers about page views, and their examples in the OpenAPI document."""

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from statsd.web.answers import Instant, Rejected


class AcceptedEvent(msgspec.Struct):
    """The receipt of an event. `GET /jobs/{jobId}` returns its state."""

    message: str
    jobId: UUID  # noqa: N815 - the name on the wire


class AcceptedBatch(msgspec.Struct, rename="camel"):
    """The numbers of new and of repeated events in a batch, their receipts in order, and the rejected events."""

    message: str
    accepted: int
    duplicates: int
    job_ids: list[UUID]
    rejected: list[Rejected]


class Job(msgspec.Struct, rename="camel"):
    """The state of an event: on disk until the database is back, stored, or refused by PostgreSQL for a `reason`."""

    job_id: UUID
    state: Literal["spooled", "stored", "dead"]
    since: Instant | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class PathViews(msgspec.Struct):
    """The views of a path."""

    path: str
    views: int


class DayViews(msgspec.Struct):
    """The views and distinct users of a day."""

    date: date
    total_views: int
    unique_users: int


class DayReport(msgspec.Struct):
    """The views and distinct users of a site on a day. Users count with events of any type."""

    site_id: str
    date: date
    total_views: int
    unique_users: int
    top_paths: list[PathViews]


class SpanReport(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The views and distinct users of a site from one day through another, in all and for each day."""

    site_id: str
    first: date
    last: date
    total_views: int
    unique_users: int
    top_paths: list[PathViews]
    days: list[DayViews]


class SiteToday(msgspec.Struct):
    """The views and distinct users of a site today."""

    site_id: str
    views: int
    users: int


class PageviewsOverview(msgspec.Struct, rename="camel"):
    """The 100 sites with the most views today, and the totals of all sites."""

    today: date
    total_views: int
    total_users: int
    site_count: int
    sites: list[SiteToday]
    generated_at: Instant


ID = UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59")
EXAMPLE = {"site_id": "shop", "event_type": "page_view", "path": "/home", "user_id": "u1",
           "timestamp": "2026-11-21T10:30:00Z"}  # fmt: skip
EVENT_ACCEPTED, BATCH_ACCEPTED = "Event accepted for processing", "Events accepted for processing"
