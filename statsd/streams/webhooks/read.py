"""Reading webhook events: the list in pages, the statistics of a window, the window as a file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET

from statsd.database import sql
from statsd.database.pool import POOL, ask, compact
from statsd.errors import BadRequest
from statsd.live.topics import HUB
from statsd.streams.webhooks import export, windows
from statsd.streams.webhooks.answers import (
    COUNTS,
    OVERVIEW,
    PAGE,
    RECEIVED,
    STORED,
    EventCounts,
    EventFile,
    EventPage,
    Events,
    EventStats,
    ExportedEvents,
    StoredEvent,
    WebhooksOverview,
)
from statsd.streams.webhooks.export import EXPORTS, Lines
from statsd.streams.webhooks.stream import STREAM
from statsd.web.answers import json_response, tagged_response
from statsd.web.asked import LINES, limit, parameters
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import iso, utc

MOST_EVENTS = 1_000  # of one GET /events
QUERIES = sql.load("webhooks")

FILTER = {
    "filter": Parameter(Literal["hour", "day", "week"], "the window, by when events were received", default="hour")
}


@Operation(
    origins="any",
    query={
        **FILTER,
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_EVENTS)], "how many", default=100),
        "cursor": Parameter(str, "the `nextCursor` of the previous page"),
    },
    answers={
        200: answer(
            "newest first",
            Events,
            last=Events(True, PAGE),
            page=Events(True, msgspec.structs.replace(PAGE, next_cursor="WyJob3VyIl0")),
        )
    },
)
async def get_events(request: web.Request) -> web.Response:
    """List the events of the last hour, day or week, newest first.

    For the next page, send the answer's `nextCursor` as `cursor`. It stays in the window of the first page, and is good
    for an hour.
    """
    asked = parameters(request, "filter", "limit", "cursor")
    name, most = _filter(asked), limit(asked, 100, MOST_EVENTS)
    _, since, *before = _place(asked, name)
    rows = await ask("events", request.app[POOL].fetch(QUERIES["page"], since, *before, most + 1))
    more, rows = len(rows) > most, rows[:most]
    following = _cursor((name, since, rows[-1]["received_at"], rows[-1]["id"])) if more else None
    page = EventPage([stored_event(row) for row in rows], len(rows), name, following)
    return json_response(Events(True, page))


def _filter(asked: Mapping[str, str]) -> str:
    name = asked.get("filter", "hour")
    if name not in windows.NAMES:
        raise BadRequest(400, 'Invalid filter parameter. Must be "hour", "day", or "week"')
    return name


def stored_event(record: asyncpg.Record) -> StoredEvent:
    """Return an event as clients read it."""
    metadata = UNSET if record["metadata"] is None else msgspec.Raw(compact(record["metadata"]))
    when, received = iso(record["timestamp"]), iso(record["received_at"])
    return StoredEvent(record["id"], record["event_type"], record["user_id"], when, received, metadata)


END = (datetime(2100, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
Place = tuple[str, datetime, datetime, UUID]
"""In the window of this name, begun then: behind the event received then, of this id."""


PAGING = timedelta(hours=1)
"""How long a window may be paged through after its first page."""


def _place(asked: Mapping[str, str], name: str) -> Place:
    begins = windows.start(name, datetime.now(UTC))
    if "cursor" not in asked:
        return name, begins, *END
    given: Place = _decoded(asked["cursor"], Place)
    try:
        place = (given[0], utc(given[1]), utc(given[2]), given[3])
        if name == place[0] and place[1] >= begins - PAGING and given[1].tzinfo and given[2].tzinfo:
            return place
    except (ValueError, OverflowError):  # a time that no event can have
        pass
    raise BadRequest(
        400, f'cursor must be the nextCursor of an answer for filter "{name}", whose first page is not an hour old'
    )


def _cursor(place: Any) -> str:
    """Return the cursor of a place, which is anything that JSON can hold."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def _decoded(cursor: str, kind: Any) -> Any:
    """Return the place of a cursor, of the type `kind`. Raises BadRequest (400) for what is none of ours."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode() + b"==="), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise BadRequest(400, "cursor must be the nextCursor of an answer to the same question") from None


@Operation(
    origins="any",
    query=FILTER,
    tagged=True,
    answers={
        200: answer(
            "the counts of the window",
            EventStats,
            statistics=EventStats(True, COUNTS),
            others=EventStats(True, msgspec.structs.replace(COUNTS, total_events=12, other_events=5)),
        )
    },
)
async def get_stats(request: web.Request) -> web.Response:
    """Count the events of a window by type.

    `totalEvents` and `statistics` are of the window; `invalidEvents` is all that were ever refused. At most 1,000 types
    have a name: the largest of those that came first on their day. `otherEvents`, if there are any, counts all others.
    """
    name = _filter(parameters(request, "filter"))
    begins = windows.start(name, datetime.now(UTC))
    found = await ask("statistics", request.app[POOL].fetchrow(QUERIES["statistics"], name, begins))
    assert found is not None  # aggregates always give a row
    statistics = msgspec.json.decode(found["statistics"], type=dict[str, int])
    others = found["total"] - found["named"]
    counts = EventCounts(found["total"], found["invalid"], statistics, name, others or UNSET)
    return tagged_response(request, EventStats(True, counts))


CSV = 'Event Type,User ID,Timestamp,Metadata,Received At\n"page_view","123","2026-11-21T10:30:00.000Z","","…"\n'


@Operation(origins="any", query=FILTER, answers={200: answer("a file", texts={"text/csv": CSV})})
async def export_csv(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as CSV, newest first."""
    head = "Event Type,User ID,Timestamp,Metadata,Received At"
    return await _export(request, "csv", "text/csv; charset=utf-8", lambda name, now: export.csv(head, _cells))


@Operation(
    origins="any",
    query=FILTER,
    answers={
        200: answer(
            "a file",
            ExportedEvents,
            file=ExportedEvents(True, EventFile("hour", RECEIVED, PAGE.events, PAGE.count)),
        )
    },
)
async def export_json(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as one JSON document, newest first."""
    return await _export(request, "json", "application/json", _document)


def _document(name: str, now: datetime) -> Lines:
    told = msgspec.json.encode({"filter": name, "exportedAt": iso(now)})
    head = b'{"success":true,"data":' + told[:-1] + b',"events":['
    return export.json(head, stored_event, lambda count: b'],"totalCount":%d}}' % count)


@Operation(
    origins="any",
    query=FILTER,
    answers={200: answer("a file", texts={LINES[0]: f"{msgspec.json.encode(STORED).decode()}\n"})},
)
async def export_ndjson(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as one JSON object a line, newest first."""
    return await _export(request, "ndjson", LINES[0], lambda name, now: export.ndjson(stored_event))


def _cells(record: asyncpg.Record) -> list[str]:
    metadata = compact(record["metadata"]).decode() if record["metadata"] is not None else ""
    return [record["event_type"], record["user_id"], iso(record["timestamp"]), metadata, iso(record["received_at"])]


async def _export(
    request: web.Request, kind: str, media: str, lines: Callable[[str, datetime], Lines]
) -> web.StreamResponse:
    """Answer with a file of the window; `lines` hears its name, and the moment that all of the answer is of."""
    name, now = _filter(parameters(request, "filter")), datetime.now(UTC)
    headers = {
        "Content-Type": media,
        "Content-Disposition": f'attachment; filename="events-{name}-{now.date()}.{kind}"',
    }
    return await request.app[EXPORTS].send(
        request, headers, lines(name, now), QUERIES["export"], windows.start(name, now)
    )


@Operation(
    origins="any",
    answers={200: answer("60 minutes, 24 hours and 7 days, all of them", WebhooksOverview, overview=OVERVIEW)},
)
async def get_overview(request: web.Request) -> web.Response:
    """Get the counts of webhook events, and the three windows with their bins and largest types.

    This is the payload of the topic `webhooks` on `/ws`.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)
