"""Taking page events in: accepted fast, never lost."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.pageviews.event import DECODER, PageEvent, row
from statsd.streams.pageviews.read import JOB
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.operation import Operation, answer

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
    # A key may have named an event of another site, which is another row.
    verdict = await accept.events(request, STREAM, DECODER, _row, ask_first=True)
    if isinstance(verdict, list):
        return _answer_many(verdict)
    job = str(verdict.row[0])
    body = b'{"message":"Event accepted for processing","jobId":"' + job.encode() + b'"}'
    return json_response(body, 202, {"Location": f"/jobs/{job}"})


def _row(event: PageEvent, key: str | None, place: int | None) -> Row:
    """The row of an event, under the id of the sender's own key, if it has one, else under a new id."""
    if key:
        if place is not None:
            raise BadRequest(400, "Idempotency-Key: names one event; in a batch give each its event_id")
        return row(event, id_of_key(STREAM.name, key))
    own = event.event_id and f"{event.site_id}\n{event.event_id}"
    return row(event, id_of_key(STREAM.name, own) if own else new_id())


def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    jobs = [str(verdict.row[0]) for verdict in verdicts if not verdict.error]
    rejected = [
        {"index": index, "details": _details(verdict.error)} for index, verdict in enumerate(verdicts) if verdict.error
    ]
    if not jobs:
        return json_response({"error": "Invalid payload", "details": rejected[0]["details"], "rejected": rejected}, 400)
    duplicates = sum(verdict.state == "known" for verdict in verdicts)
    body = {
        "message": "Events accepted for processing",
        "accepted": len(jobs) - duplicates,
        "duplicates": duplicates,
        "jobIds": jobs,
        "rejected": rejected,
    }
    return json_response(body, 202)


def _details(error: StatsError) -> Sequence[str]:
    return error.faults if isinstance(error, InvalidEvent) else [f"event_id {accept.REUSED}"]
