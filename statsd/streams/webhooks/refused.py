"""Refused deliveries: when, from where and why. What was sent is never kept, nor any value of it."""

import re
from collections.abc import Sequence
from itertools import islice

import msgspec
from aiohttp import web

from statsd.database.pool import ask
from statsd.errors import InvalidEvent, StatsError
from statsd.ingest.refusals import REFUSALS
from statsd.ingest.verdict import Verdict
from statsd.live.topics import HUB
from statsd.streams.webhooks import answers, cloudevents
from statsd.streams.webhooks.cloud_attributes import RULES
from statsd.streams.webhooks.cloud_data import MEMBERS
from statsd.streams.webhooks.stream import STREAM
from statsd.web import SETTINGS
from statsd.web.addresses import client_address, cut
from statsd.web.answers import Success, json_response
from statsd.web.meter import ERROR
from statsd.web.operation import Answer, Operation, declared, view_of

TOPIC = "refusals"
MOST_REASONS = 4  # of a delivery
ATTRIBUTES = {*RULES, *MEMBERS}
"""Of CloudEvents, those whose names are not the client's own."""

REASONS = ["eventType is required", "userId must be a string"]
DELIVERY = answers.RefusedDelivery("2026-11-21T10:30:00.125Z", "203.0.113.7", "/webhook", 400, REASONS)
EXAMPLE = Success(data=answers.RefusedDeliveries([DELIVERY], 1))


async def note(request: web.Request, response: web.StreamResponse) -> None:
    """Note a delivery that was refused, or some events of it, when its answer begins.

    An answer from 500 on is not the fault of what was sent, and the sender tries again.
    """
    error = request.get(ERROR)
    if error is None:
        return
    del request[ERROR]  # its traceback refers to the request: without this, only a collection would free the two
    if response.status >= 500:
        return
    handler = request.match_info.handler
    if view_of(handler) != STREAM.name or declared(handler).access != "ingest":
        return
    address = cut(client_address(request), request.app[SETTINGS].ip)
    resource = request.match_info.route.resource
    path = resource.canonical if resource and response.status == 404 else request.path
    request.app[REFUSALS][STREAM.name].latest.note(address, path, response.status, _reasons(request, error))


def of_batch(verdicts: Sequence[Verdict], most: int | None = None) -> InvalidEvent | None:
    """Return the faults of the refused events of a batch, at most so many, as one error; None if all were accepted."""
    faults = (
        msgspec.structs.replace(fault, path=[index, *fault.path])
        for index, verdict in enumerate(verdicts)
        if verdict.error
        for fault in answers.faults_of(verdict.error)
    )
    first = [*islice(faults, most)]
    return InvalidEvent(first) if first else None


def _reasons(request: web.Request, error: StatsError) -> list[str]:
    is_cloud_event = cloudevents.is_binary(request.headers) or "cloudevents" in request.headers.get("Content-Type", "")
    reasons: dict[str, None] = {}
    for fault in answers.faults_of(error):
        if len(reasons) == MOST_REASONS:
            return [*reasons, "and more"]
        reasons[_reason(fault, is_cloud_event)] = None
    return [*reasons]


def _reason(fault: answers.Fault, is_cloud_event: bool) -> str:
    """Return a fault in a sentence, without a name or a value that the client chose."""
    sentence = re.sub(r" \(got .*\)", "", fault.message)
    if fault.type == "object.unknown" or (is_cloud_event and fault.field and fault.field not in ATTRIBUTES):
        sentence = f"a field {sentence.removeprefix(fault.field).lstrip()}"
    index = fault.path[0] if fault.path and isinstance(fault.path[0], int) else None
    return sentence if index is None else f"event {index}: {sentence}"


@Operation(
    shared="own",
    answers={200: Answer("newest first", Success[answers.RefusedDeliveries], refused=EXAMPLE)},
)
async def get_refused(request: web.Request) -> web.Response:
    """List the latest hundred refused deliveries: when, from where and why.

    Also batches of which some events were refused (`status` 200). What was sent is not kept. This is the payload of the
    topic `refusals` on `/ws`.
    """
    await ask("the refusals", request.app[REFUSALS][STREAM.name].latest.write())
    return json_response((await request.app[HUB].topics[TOPIC].snapshot()).payload)
