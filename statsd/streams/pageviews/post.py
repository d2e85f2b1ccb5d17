"""Page views (contracts.md §5): which pages of which site are seen, and by how many; accepted fast, never lost."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from aiohttp import web

from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.streams.pageviews.event import DECODER, PageEvent, row
from statsd.streams.pageviews.read import JOB
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import LINES, read_body
from statsd.web.operation import Operation, answer


def _id(event: PageEvent, header: str | None) -> UUID:
    """The id of an event: of the sender's own key, if it has one, else a new one."""
    if header:
        return id_of_key(STREAM.name, header)
    return id_of_key(STREAM.name, f"{event.site_id}\n{event.event_id}") if event.event_id else new_id()


# What openapi.json shows.
EXAMPLE = {"site_id": "shop", "event_type": "page_view", "path": "/home", "user_id": "u1",
           "timestamp": "2026-11-21T10:30:00Z"}  # fmt: skip
FAULT = {"index": 1, "details": ["path is required and must be a non-empty string"]}
ACCEPTED = {"message": "Events accepted for processing", "accepted": 1, "duplicates": 0, "jobIds": [JOB]}


@Operation(
    origins="any",
    body=PageEvent,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        202: answer(
            "in the database, or on disk until it is back",
            headers={"Location": "where to ask what became of it (one event)"},
            one={"message": "Event accepted for processing", "jobId": JOB},
            many={**ACCEPTED, "rejected": [FAULT]},
        )
    },
)
async def post_event(request: web.Request) -> web.Response:
    """`POST /event`: accept a page view, or many.

    202 with the `jobId` of a receipt, once the event is in the database or safe on disk. One object, an array, or one
    event a line (application/x-ndjson): for the latter two 202 with `accepted`, `duplicates`, `jobIds` of both in their
    order, and `rejected`, each with its index and details; 400 only where nothing is good. `Idempotency-Key` (one
    event) or `event_id` make a repeat count once; another event under the same one is 422.
    """
    decoded = DECODER.decode(await read_body(request), request.content_type in LINES)
    key = accept.idempotency_key(request)
    if isinstance(decoded, list):
        if key:
            raise BadRequest(400, "Idempotency-Key: names one event; in a batch give each its event_id")
        return await _post_many(request, decoded)
    values = row(decoded, _id(decoded, key))
    if key:  # it may have named an event of another site, which is another row
        await accept.known(request, STREAM, [values], raising=True)
    await accept.one(request, STREAM, values)
    job = str(values[0])
    body = b'{"message":"Event accepted for processing","jobId":"' + job.encode() + b'"}'
    return json_response(body, 202, {"Location": f"/jobs/{job}"})


async def _post_many(request: web.Request, decoded: Sequence[PageEvent | InvalidEvent]) -> web.Response:
    rows = [row(one, _id(one, None)) if isinstance(one, PageEvent) else one for one in decoded]
    outcomes, _ = await accept.many(request, STREAM, rows)
    rejected, jobs, duplicates = [], [], 0
    for index, (values, outcome) in enumerate(zip(rows, outcomes, strict=True)):
        if isinstance(outcome, StatsError):
            details = outcome.faults if isinstance(outcome, InvalidEvent) else [f"event_id {accept.REUSED}"]
            rejected.append({"index": index, "details": details})
        elif not isinstance(values, InvalidEvent):
            jobs.append(str(values[0]))
            duplicates += outcome is None
    if not jobs:
        return json_response({"error": "Invalid payload", "details": rejected[0]["details"], "rejected": rejected}, 400)
    body = {
        "message": "Events accepted for processing",
        "accepted": len(jobs) - duplicates,
        "duplicates": duplicates,
        "jobIds": jobs,
        "rejected": rejected,
    }
    return json_response(body, 202)
