"""How many items were made, and how many transfers there were, per unit of time: as server-sent events."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from statsd.errors import BadRequest
from statsd.live import sse
from statsd.live.topics import HUB
from statsd.stream import View
from statsd.streams.transfers.answers import WHEN, Bin
from statsd.web.answers import json_response
from statsd.web.asked import limit, parameters
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import DATE_TIME, instant, iso

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
MOST_BINS = 1_000
SINCE_RULE = "an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z; a + in it is written %2B"
SINCE = msgspec.Meta(extra_json_schema=DATE_TIME)
CREATIONS, TRANSFERS = "item-creation", "transfers"


def views(topic: str, stream: str) -> dict[str, View]:
    """Return the topics of a stream's statistics: one per unit."""
    return {f"{topic}/{unit}": View(stream, "series", "bins", (stream, unit)) for unit in UNITS}


STREAMING = Operation(
    origins="near",
    path={"unit": Parameter(Literal[UNITS], "the unit of time", example="minute")},
    query={
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_BINS)], "how many bins", default=MOST_BINS),
        "since": Parameter(Annotated[datetime, SINCE], "only bins that begin at this instant or later"),
    },
    headers={"Last-Event-ID": Parameter(str, "the id of the last event the client has: it is not sent again")},
    answers={
        200: answer(
            "the newest bins that are not empty, newest first",
            list[Bin],
            texts={"text/event-stream": sse.event(b'[{"time":"2026-11-21T10:30:00.000Z","count":3}]').decode()},
            bins=[Bin(WHEN, 3)],
        )
    },
)


@STREAMING
async def get_creation_statistics(request: web.Request) -> web.StreamResponse:
    """Count the items that were made per unit of time.

    `Accept: application/json` returns the bins once. Every other client gets server-sent events: the bins at once, and
    again after every change.
    """
    return await _statistics(request, CREATIONS)


@STREAMING
async def get_transfer_statistics(request: web.Request) -> web.StreamResponse:
    """Count the transfers per unit of time.

    `Accept: application/json` returns the bins once. Every other client gets server-sent events: the bins at once, and
    again after every change.
    """
    return await _statistics(request, TRANSFERS)


async def _statistics(request: web.Request, topic: str) -> web.StreamResponse:
    unit = request.match_info["unit"]
    unit = "millisecond" if unit == "milliseconds" else unit
    if unit not in UNITS:
        raise BadRequest(400, f"unit: must be one of {', '.join(UNITS)}")
    wish = _wish(parameters(request, "limit", "since"))
    if _wants_json(request):
        snapshot = await request.app[HUB].topics[f"{topic}/{unit}"].snapshot()
        return json_response(wish.cut(snapshot.payload), headers={"Vary": "Accept"})
    return await sse.respond(request, f"{topic}/{unit}", sse.event if wish == EVERYTHING else wish)


def _wish(asked: Mapping[str, str]) -> Wish:
    most = limit(asked, MOST_BINS, MOST_BINS)
    if "since" not in asked:
        return Wish(most)
    try:
        return Wish(most, iso(instant(asked["since"])))
    except ValueError:
        raise BadRequest(400, f"since: must be {SINCE_RULE}") from None


def _wants_json(request: web.Request) -> bool:
    accepted = sse.accepted(request)
    return "application/json" in accepted and "text/event-stream" not in accepted


@dataclass(frozen=True, slots=True)
class Wish:
    """How many bins a client wants, and since when; as a Framing, the event that says them.

    Bins come newest first, so every wish is for the first few of them: it costs a slice of bytes, however many clients
    have wishes of their own.
    """

    most: int
    since: str = ""

    def __call__(self, payload: bytes) -> bytes:
        return sse.event(self.cut(payload))

    def cut(self, payload: bytes) -> bytes:
        """Return the JSON of the bins wished for, out of the JSON of all."""
        times, ends = _bins(payload)
        wanted = min(self.most, len(times) - bisect_left(times, self.since))
        if wanted == len(times):
            return payload
        return payload[: ends[wanted - 1]] + b"]" if wanted else b"[]"


EVERYTHING = Wish(MOST_BINS)


@lru_cache(maxsize=2 * len(UNITS))  # of both topics; whoever asks shares the payload of a snapshot
def _bins(payload: bytes) -> tuple[list[str], list[int]]:
    """Return when the bins of a payload begin, oldest first, and where each ends in it, newest first."""
    times = [bin.time for bin in msgspec.json.decode(payload, type=list[Bin])]
    return times[::-1], [found.end() for found in re.finditer(rb"}", payload)]
