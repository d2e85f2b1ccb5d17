"""The numbers of created items and of transfers per unit of time, as server-sent events."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
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
from statsd.web.decode import When
from statsd.web.operation import Answer, Operation, Parameter
from statsd.web.times import INSTANT_RULE, instant, iso

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
MOST_BINS = 1_000
SINCE_RULE = f"{INSTANT_RULE}; write + as %2B"
CREATIONS, TRANSFERS = "item-creation", "transfers"


def views(topic: str, stream: str) -> dict[str, View]:
    """Return the topics of a stream's statistics, one for each unit of time."""
    return {f"{topic}/{unit}": View(stream, "series", "bins", (stream, unit)) for unit in UNITS}


STREAMING = Operation(
    origins="near",
    shared="own",
    detailed=True,
    path={"unit": Parameter(Literal[UNITS], "the unit of time", example="minute")},
    query={
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_BINS)], "how many bins", default=MOST_BINS),
        "since": Parameter(When, "only bins that begin at this instant or later"),
        sse.LAST_ID: Parameter(str, "what `Last-Event-ID` says, for clients that cannot send it"),
    },
    headers={"Last-Event-ID": Parameter(str, "the id of the client's last event, which is not sent again")},
    answers={
        200: Answer(
            "the newest bins, without empty ones, newest first",
            list[Bin],
            texts={"text/event-stream": sse.event(b'[{"time":"2026-11-21T10:30:00.000Z","count":3}]').decode()},
            bins=[Bin(WHEN, 3)],
        )
    },
)


@STREAMING
async def get_creation_statistics(request: web.Request) -> web.StreamResponse:
    """Count the created items per unit of time.

    With `Accept: application/json`, the answer is the bins as JSON. Otherwise the bins are sent as a server-sent event
    at once, and again after every change.
    """
    return await _statistics(request, CREATIONS)


@STREAMING
async def get_transfer_statistics(request: web.Request) -> web.StreamResponse:
    """Count the transfers per unit of time.

    With `Accept: application/json`, the answer is the bins as JSON. Otherwise the bins are sent as a server-sent event
    at once, and again after every change.
    """
    return await _statistics(request, TRANSFERS)


async def _statistics(request: web.Request, topic: str) -> web.StreamResponse:
    unit = request.match_info["unit"]
    unit = "millisecond" if unit == "milliseconds" else unit
    if unit not in UNITS:
        raise BadRequest(400, f"unit: must be one of {', '.join(UNITS)}")
    bins = _slice(parameters(request))
    accepted = sse.accepted(request)
    if "application/json" in accepted and "text/event-stream" not in accepted:
        snapshot = await request.app[HUB].topics[f"{topic}/{unit}"].snapshot()
        return json_response(bins.of(snapshot.payload), headers={"Vary": "Accept"})
    return await sse.respond(request, f"{topic}/{unit}", sse.event if bins == ALL_BINS else bins)


def _slice(query: Mapping[str, str]) -> "Slice":
    most = limit(query, MOST_BINS, MOST_BINS)
    if "since" not in query:
        return Slice(most)
    try:
        return Slice(most, iso(instant(query["since"])))
    except ValueError:
        raise BadRequest(400, f"since: must be {SINCE_RULE}") from None


@dataclass(frozen=True, slots=True)
class Slice:
    """The bins that a client requests: at most `most`, from `since` on. As a Framing, it makes the event with them.

    Bins are sorted newest first, so these are always the first few: a slice of the payload's bytes, which is cheap even
    if every client requests other bins.
    """

    most: int
    since: str = ""

    def __call__(self, payload: bytes) -> bytes:
        return sse.event(self.of(payload))

    def of(self, payload: bytes) -> bytes:
        """Return the JSON of these bins from the JSON of all bins."""
        times, ends = _bins(payload)
        number = min(self.most, len(times) - bisect_left(times, self.since))
        if number == len(times):
            return payload
        return payload[: ends[number - 1]] + b"]" if number else b"[]"


ALL_BINS = Slice(MOST_BINS)


@lru_cache(maxsize=2 * len(UNITS))  # of both topics; all clients share the payload of a snapshot
def _bins(payload: bytes) -> tuple[list[str], list[int]]:
    """Return the times of a payload's bins, oldest first, and the offset where each bin ends, newest first."""
    times = [bin.time for bin in msgspec.json.decode(payload, type=list[Bin])]
    return times[::-1], [match.end() for match in re.finditer(rb"}", payload)]
