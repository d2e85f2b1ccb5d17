"""Ingest of page events: `POST /event`."""

from collections.abc import Sequence

from aiohttp import web

from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of, new_id
from statsd.ingest.lean import Way, storing
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS
from statsd.stream import Row
from statsd.streams.pageviews.answers import BATCH_ACCEPTED, EVENT_ACCEPTED, EXAMPLE, ID, AcceptedBatch, AcceptedEvent
from statsd.streams.pageviews.event import PageEvent, row
from statsd.streams.pageviews.sent import DECODER, SentEvent
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import InvalidPayload, Rejected, Reply, json_response
from statsd.web.decode import Batch
from statsd.web.operation import Answer, Operation


@Operation(
    origins="any",
    access="ingest",
    body=SentEvent,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        202: Answer(
            "stored, or on disk until the database is back",
            AcceptedEvent,
            AcceptedBatch,
            headers={"Location": "the address of the receipt, for a single event"},
            one=AcceptedEvent(EVENT_ACCEPTED, ID),
        )
    },
)
async def post_event(request: web.Request) -> web.Response:
    """Accept a page view, or a batch.

    202 is sent once the event is in the database, or on disk until the database is back. The valid events of a batch
    (an array, or one event per line) are stored; a batch without a valid event is 400.

    With an `Idempotency-Key` (for a single event) or an `event_id`, a repeat counts once; a different event under the
    same key is 422.
    """
    # The primary key begins with the site: the insert cannot see that the key was used for another site.
    verdict = await accept.events(request, STREAM, DECODER, _row, ask_first=True)
    if isinstance(verdict, list):
        return _answer_many(verdict)
    return json_response(*_receipt(verdict))


def way(app: web.Application) -> Way:
    """Return the lean way in: for a single event without a key."""

    def make_row(body: bytes, _: str) -> Row | None:
        event = DECODER.decode(body)
        return None if isinstance(event, Batch) or event.event_id else row(event, new_id())

    return Way(storing(app[WRITERS][STREAM.name], make_row), _receipt)


def _receipt(verdict: Verdict) -> Reply:
    job = str(verdict.row[0])
    # The most frequent answer, written by hand: `AcceptedEvent` as JSON.
    body = b'{"message":"%b","jobId":"%b"}' % (EVENT_ACCEPTED.encode(), job.encode())
    return body, 202, {"Location": f"/jobs/{job}"}


def _row(event: PageEvent, key: str | None, index: int | None) -> Row:
    """Return the row of an event. Its id is made of the sender's key, or is new without one."""
    if key and index is not None:
        raise BadRequest(400, "Idempotency-Key: names a single event; in a batch, each event may have an event_id")
    if not key and event.event_id:
        key = f"{event.site_id}\n{event.event_id}"
    return row(event, id_of(STREAM.name, key))


def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    jobs = [verdict.row[0] for verdict in verdicts if not verdict.error]
    rejected = [Rejected(index, _details(verdict.error)) for index, verdict in enumerate(verdicts) if verdict.error]
    if not jobs:
        return json_response(InvalidPayload("Invalid payload", rejected[0].details, rejected), 400)
    duplicates = sum(verdict.state == "known" for verdict in verdicts)
    return json_response(AcceptedBatch(BATCH_ACCEPTED, len(jobs) - duplicates, duplicates, jobs, rejected), 202)


def _details(error: StatsError) -> Sequence[str]:
    return error.faults if isinstance(error, InvalidEvent) else [f"event_id {accept.REUSED}"]
