"""How many items were made, and how many transfers there were, per unit of time: as server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from statsd import sse
from statsd.decode import instant, iso
from statsd.errors import BadRequest
from statsd.live import HUB, Dress
from statsd.operation import Operation, Parameter, answer
from statsd.stream import View
from statsd.web import json_response, limit, parameters

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
MOST_BINS = 1_000
CREATIONS, TRANSFERS = "item-creation", "transfers"


def views(topic: str, stream: str) -> dict[str, View]:
    """Return the topics of a stream's statistics: one per unit."""
    return {f"{topic}/{unit}": View(stream, "series", (unit,)) for unit in UNITS}


STREAMING = Operation(
    path={"unit": Parameter(Literal[UNITS], "of what time bins are", example="minute")},
    query={
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_BINS)], "how many bins", default=MOST_BINS),
        "since": Parameter(datetime, "only bins that begin then or later"),
    },
    headers={"Last-Event-ID": Parameter(str, "the id of the last event that was seen: it is not sent again")},
    answers={
        200: answer(
            "an event now, and one after every change",
            media="text/event-stream",
            event=sse.event(b'[{"time":"2026-11-21T10:30:00.000Z","count":3}]').decode(),
        )
    },
)


@STREAMING
async def get_creation_statistics(request: web.Request) -> web.StreamResponse:
    """`GET /statistics/item-creation/{unit}`: how many items were made, per unit, as server-sent events."""
    return await _statistics(request, CREATIONS)


@STREAMING
async def get_transfer_statistics(request: web.Request) -> web.StreamResponse:
    """`GET /statistics/transfers/{unit}`: how many transfers there were, per unit, as server-sent events.

    Every event has the newest bins up to now that are not empty, newest first: at most `limit` (1,000), and of those
    only the ones that begin at `since` or later. Who accepts application/json alone is answered them once, as JSON.
    """
    return await _statistics(request, TRANSFERS)


async def _statistics(request: web.Request, topic: str) -> web.StreamResponse:
    unit = request.match_info["unit"]
    unit = "millisecond" if unit == "milliseconds" else unit
    if unit not in UNITS:
        sentence = f"unit: must be one of {', '.join(UNITS)}"
        raise BadRequest(400, sentence, [sentence])
    asked = parameters(request, "limit", "since")
    most, since = limit(asked, MOST_BINS, MOST_BINS), ""
    if "since" in asked:
        try:
            since = iso(instant(asked["since"]))
        except ValueError:
            raise BadRequest(400, "since: must be an ISO 8601 instant, such as 2026-11-21T10:30:00Z") from None
    narrow = _whole if most == MOST_BINS and not since else _narrow(most, since)
    if _wants_json(request):
        snapshot = await request.app[HUB].topics[f"{topic}/{unit}"].snapshot()
        return json_response(narrow(snapshot.payload), headers={"Vary": "Accept"})
    return await sse.respond(request, f"{topic}/{unit}", _event(narrow))


def _wants_json(request: web.Request) -> bool:
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


class Bin(msgspec.Struct):
    """One element of the statistics; bins without events are left out."""

    time: str
    count: int


Narrow = Callable[[bytes], bytes]


def _whole(payload: bytes) -> bytes:
    return payload


@lru_cache(maxsize=1_000)
def _narrow(most: int, since: str) -> Narrow:
    def narrow(payload: bytes) -> bytes:
        bins = msgspec.json.decode(payload, type=list[Bin])[:most]
        return msgspec.json.encode([bin for bin in bins if bin.time >= since])

    return narrow


@lru_cache(maxsize=1_000)
def _event(narrow: Narrow) -> Dress:
    """One dress per wish, so that those who share it share the frame."""
    return lambda payload: sse.event(narrow(payload))


def routes() -> list[web.RouteDef]:
    """The streams of statistics."""
    return [
        web.get("/statistics/item-creation/{unit:[^/]+}", get_creation_statistics),
        web.get("/statistics/transfers/{unit:[^/]+}", get_transfer_statistics),
    ]
