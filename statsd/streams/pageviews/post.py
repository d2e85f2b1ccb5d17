"""Taking page events in: accepted fast, never lost."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.pageviews.answers import ACCEPTED, ACCEPTED_BATCH, EXAMPLE, AcceptedBatch, AcceptedEvent
from statsd.streams.pageviews.event import DECODER, PageEvent, row
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import InvalidPayload, Rejected, json_response
from statsd.web.operation import Operation, answer


@Operation(
    origins="any",
    body=PageEvent,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        202: answer(
            "stored, or on disk until the database is back",
            AcceptedEvent,
            AcceptedBatch,
            headers={"Location": "the address of the receipt, for one event"},
            one=ACCEPTED,
            many=ACCEPTED_BATCH,
        )
    },
)
async def post_event(request: web.Request) -> web.Response:
    """Accept a page view, or a batch.

    202 comes once the event is in the database or safe on disk. The valid events of a batch (an array, or one event a
    line) are stored; a batch without a valid event is 400.

    With an `Idempotency-Key` (for one event) or an `event_id`, a repeat counts once; another event under the same key
    is 422.
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
    jobs = [verdict.row[0] for verdict in verdicts if not verdict.error]
    rejected = [Rejected(index, _details(verdict.error)) for index, verdict in enumerate(verdicts) if verdict.error]
    if not jobs:
        return json_response(InvalidPayload("Invalid payload", rejected[0].details, rejected), 400)
    duplicates = sum(verdict.state == "known" for verdict in verdicts)
    message = "Events accepted for processing"
    return json_response(AcceptedBatch(message, len(jobs) - duplicates, duplicates, jobs, rejected), 202)


def _details(error: StatsError) -> Sequence[str]:
    return error.faults if isinstance(error, InvalidEvent) else [f"event_id {accept.REUSED}"]
