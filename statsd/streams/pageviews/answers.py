"""What is answered about page views, with examples for the document."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from statsd.web.answers import Instant, Rejected


class AcceptedEvent(msgspec.Struct):
    """The receipt of an event: `GET /jobs/{jobId}` says what became of it."""

    message: str
    jobId: UUID  # noqa: N815 - the contract's own name


class AcceptedBatch(msgspec.Struct, rename="camel"):
    """How many events of a batch are new, how many were stored before, their receipts in order, and the refused."""

    message: str
    accepted: int
    duplicates: int
    job_ids: list[UUID]
    rejected: list[Rejected]


class Job(msgspec.Struct, rename="camel"):
    """What became of an event: it waits on disk, is stored, or is dead (PostgreSQL refused it, for this reason)."""

    job_id: UUID
    state: Literal["spooled", "stored", "dead"]
    since: Instant | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class PathViews(msgspec.Struct):
    """The views of a page."""

    path: str
    views: int


class DayViews(msgspec.Struct):
    """The views and distinct users of a day."""

    date: date
    total_views: int
    unique_users: int


class DayReport(msgspec.Struct):
    """The views of a site on a day, and the distinct users of all its events."""

    site_id: str
    date: date
    total_views: int
    unique_users: int
    top_paths: list[PathViews]


class SpanReport(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The views and distinct users of a site from one day to another, and on each of these days."""

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
    """The largest 100 sites of today, and the sums of all sites."""

    today: date
    total_views: int
    total_users: int
    site_count: int
    sites: list[SiteToday]
    generated_at: Instant


ID, SINCE = UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59"), "2026-11-21T10:30:00.125000+00:00"
EXAMPLE = {"site_id": "shop", "event_type": "page_view", "path": "/home", "user_id": "u1",
           "timestamp": "2026-11-21T10:30:00Z"}  # fmt: skip
ACCEPTED = AcceptedEvent("Event accepted for processing", ID)
FAULT = Rejected(1, ["path is required and must be a non-empty string"])
ACCEPTED_BATCH = AcceptedBatch("Events accepted for processing", 1, 0, [ID], [FAULT])
STORED, SPOOLED, DEAD = Job(ID, "stored", SINCE), Job(ID, "spooled"), Job(ID, "dead", SINCE, "the reason")
YESTERDAY, DAY = date(2026, 11, 20), date(2026, 11, 21)
PATHS = [PathViews("/home", 2)]
OF_DAY = DayReport("shop", DAY, 5, 3, PATHS)
OF_SPAN = SpanReport("shop", YESTERDAY, DAY, 5, 3, PATHS, [DayViews(YESTERDAY, 0, 0), DayViews(DAY, 5, 3)])
OVERVIEW = PageviewsOverview(DAY, 5, 3, 1, [SiteToday("shop", 5, 3)], "2026-11-21T10:30:00.125Z")
