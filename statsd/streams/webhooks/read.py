"""Reading webhook events: the pages, the statistics and the export of a window, and the overview."""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET

from statsd.database import sql
from statsd.database.pool import POOL, ask, compact
from statsd.errors import BadRequest
from statsd.live.topics import HUB
from statsd.streams.files import File, csv_line
from statsd.streams.webhooks import answers, windows
from statsd.streams.webhooks.export import EXPORTS
from statsd.streams.webhooks.stream import STREAM
from statsd.web.answers import Success, json_response, tagged_response
from statsd.web.asked import LINES, limit, parameters
from statsd.web.operation import Answer, Operation, Parameter
from statsd.web.times import iso, utc

MOST_EVENTS = 1_000  # of a page
PAGING = timedelta(hours=1)  # how long a cursor works after the first page of its window
QUERIES = sql.load("webhooks")
ENCODER = msgspec.json.Encoder()

FILTER = {"filter": Parameter(Literal["hour", "day", "week"], "the window, by the time of receipt", default="hour")}


@Operation(
    origins="any",
    shared="own",
    query={
        **FILTER,
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_EVENTS)], "how many events", default=100),
        "cursor": Parameter(str, "the `nextCursor` of the previous page"),
    },
    answers={200: Answer("newest first", Success[answers.EventPage], page=Success(data=answers.PAGE))},
)
async def get_events(request: web.Request) -> web.Response:
    """List the events of the last hour, day or week, newest first.

    For the next page, send the answer's `nextCursor` as `cursor`. All pages show the window of the first page, and
    cursors work for an hour after it.
    """
    query = parameters(request)
    name, size = _filter(query), limit(query, 100, MOST_EVENTS)
    _, since, *before = _position(query, name)
    rows = await ask("events", request.app[POOL].fetch(QUERIES["page"], since, *before, size + 1))
    is_last, rows = len(rows) <= size, rows[:size]
    cursor = None if is_last else _cursor((name, since, rows[-1]["received_at"], rows[-1]["id"]))
    page = answers.EventPage([stored_event(row) for row in rows], len(rows), name, cursor)
    return json_response(Success(data=page))


def _filter(query: Mapping[str, str]) -> str:
    name = query.get("filter", "hour")
    if name not in windows.NAMES:
        raise BadRequest(400, 'Invalid filter parameter. Must be "hour", "day", or "week"')
    return name


def stored_event(record: asyncpg.Record) -> answers.StoredEvent:
    """Return a record as clients see it."""
    metadata = UNSET if record["metadata"] is None else msgspec.Raw(compact(record["metadata"]))
    when, received = iso(record["timestamp"]), iso(record["received_at"])
    return answers.StoredEvent(record["id"], record["event_type"], record["user_id"], when, received, metadata)


class Position(NamedTuple):
    """Where a page begins: after an event, in a window."""

    window: str
    since: datetime
    received_at: datetime
    id: UUID


END = (datetime(2100, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


def _position(query: Mapping[str, str], name: str) -> Position:
    """Return where the page begins. Raises BadRequest (400) for an invalid or old cursor."""
    begins = windows.start(name, datetime.now(UTC))
    if "cursor" not in query:
        return Position(name, begins, *END)
    with suppress(ValueError, OverflowError, msgspec.MsgspecError):
        encoded = base64.urlsafe_b64decode(query["cursor"].encode() + b"===")
        window, since, received_at, id = msgspec.json.decode(encoded, type=Position)
        if window == name and utc(since) >= begins - PAGING and since.tzinfo and received_at.tzinfo:
            return Position(name, utc(since), utc(received_at), id)
    raise BadRequest(
        400, f'cursor must be the nextCursor of an answer for filter "{name}", whose first page is not an hour old'
    )


def _cursor(position: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


@Operation(
    origins="any",
    shared="own",
    query=FILTER,
    tagged=True,
    answers={200: Answer("the counts of the window", Success[answers.EventCounts])},
)
async def get_stats(request: web.Request) -> web.Response:
    """Count the events of a window by type.

    `totalEvents` and `statistics` count the window; `invalidEvents` counts all events that were ever refused. On each
    day, the first 1,000 types are counted by name. `statistics` has the 1,000 largest types of the window, and
    `otherEvents` counts the rest, if any.
    """
    name = _filter(parameters(request))
    begins = windows.start(name, datetime.now(UTC))
    totals = await ask("statistics", request.app[POOL].fetchrow(QUERIES["statistics"], name, begins))
    assert totals is not None  # aggregates always return a row
    statistics = msgspec.json.decode(totals["statistics"], type=dict[str, int])
    others = totals["total"] - totals["named"]
    counts = answers.EventCounts(totals["total"], totals["invalid"], statistics, name, others or UNSET)
    return tagged_response(request, Success(data=counts))


CSV_HEAD = "Event Type,User ID,Timestamp,Metadata,Received At\n"
CSV = f'{CSV_HEAD}"page_view","123","2026-11-21T10:30:00.000Z",,"…"\n'
NDJSON = f"{msgspec.json.encode(answers.STORED).decode()}\n"


@Operation(
    origins="any",
    shared="own",
    query={**FILTER, "guard": Parameter(Literal["on", "off"], "apostrophes before formulas", default="on")},
    answers={200: Answer("a file", texts={"text/csv": CSV})},
)
async def export_csv(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as CSV, newest first.

    A text that begins with `=`, `+`, `-`, `@`, a tab, a line break or an apostrophe gets an apostrophe in front, so
    that no spreadsheet calculates it. `guard=off` leaves these apostrophes out. A missing value is empty.
    """
    guard = parameters(request).get("guard", "on")
    if guard not in ("on", "off"):
        raise BadRequest(400, 'guard must be "on" or "off"')
    lines = partial(csv_line, guard=guard == "on")
    file = File(lambda rows: "".join([lines(_cells(row)) for row in rows]).encode(), CSV_HEAD.encode())
    return await _export(request, "csv", "text/csv; charset=utf-8", lambda name, now: file)


@Operation(origins="any", shared="own", query=FILTER, answers={200: Answer("a file", Success[answers.EventFile])})
async def export_json(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as one JSON document, newest first."""
    return await _export(request, "json", "application/json", _document)


def _document(name: str, now: datetime) -> File:
    fields = ENCODER.encode({"filter": name, "exportedAt": iso(now)})
    head = b'{"success":true,"data":' + fields[:-1] + b',"events":['
    return File(
        lambda rows: b",".join([ENCODER.encode(stored_event(row)) for row in rows]),
        head,
        separator=b",",
        tail=lambda count: b'],"totalCount":%d}}' % count,
    )


@Operation(origins="any", shared="own", query=FILTER, answers={200: Answer("a file", texts={LINES[0]: NDJSON})})
async def export_ndjson(request: web.Request) -> web.StreamResponse:
    """Export the events of a window as one JSON object per line, newest first."""
    file = File(lambda rows: ENCODER.encode_lines([stored_event(row) for row in rows]))
    return await _export(request, "ndjson", LINES[0], lambda name, now: file)


def _cells(record: asyncpg.Record) -> list[Any]:
    metadata = msgspec.Raw(compact(record["metadata"])) if record["metadata"] is not None else None
    return [record["event_type"], record["user_id"], iso(record["timestamp"]), metadata, iso(record["received_at"])]


async def _export(
    request: web.Request, kind: str, media: str, file: Callable[[str, datetime], File]
) -> web.StreamResponse:
    """Send a window as a file, which depends on the name of the window and the current time."""
    name, now = _filter(parameters(request)), datetime.now(UTC)
    disposition = f'attachment; filename="events-{name}-{now.date()}.{kind}"'
    headers = {"Content-Type": media, "Content-Disposition": disposition}
    return await request.app[EXPORTS].send(
        request, headers, file(name, now), QUERIES["page"], windows.start(name, now), *END, None
    )


@Operation(
    origins="any",
    shared="own",
    answers={200: Answer("all 60 minutes, 24 hours and 7 days, empty ones included", answers.WebhooksOverview)},
)
async def get_overview(request: web.Request) -> web.Response:
    """Get the counts of webhook events, and the bins and largest types of the three windows.

    This is the payload of the topic `webhooks` on `/ws`.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)
