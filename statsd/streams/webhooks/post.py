"""Taking webhook events in: whatever a service posts, in any of the forms that services use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from statsd.errors import InvalidEvent, KeyReused, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.refusals import REFUSALS
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.webhooks import cloudevents, senders
from statsd.streams.webhooks.answers import (
    EXAMPLE,
    ID,
    MISSING,
    RECEIVED,
    TAKEN,
    BatchReceipt,
    Fault,
    InvalidWebhook,
    Receipt,
    ReceivedBatch,
    ReceivedEvent,
    RejectedEvent,
    fault,
    faults_of,
)
from statsd.streams.webhooks.event import DECODER, WebhookEvent, row
from statsd.streams.webhooks.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import JSON_TYPES
from statsd.web.decode import Decoder, parse, raised
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import iso

TYPES = (*JSON_TYPES, cloudevents.STRUCTURED, cloudevents.BATCH)


RECEIVED_ONE = ReceivedEvent(True, TAKEN, Receipt(ID, RECEIVED))
RECEIVED_MANY = ReceivedBatch(True, TAKEN, BatchReceipt(1, 0, [ID], RECEIVED, [RejectedEvent(1, [MISSING])]))


@Operation(
    origins="any",
    envelope=InvalidWebhook,
    body=WebhookEvent,
    batch=True,
    example=EXAMPLE,
    media={cloudevents.STRUCTURED: cloudevents.CloudEvent, cloudevents.BATCH: list[cloudevents.CloudEvent]},
    keys=["webhook-id", "Idempotency-Key"],
    headers={
        **senders.HEADERS,
        **{f"ce-{name}": Parameter(str, about) for name, about in cloudevents.IN_HEADERS.items()},
    },
    guards=senders.GUARDS,
    answers={
        200: answer(
            "stored, or on disk until the database is back",
            ReceivedEvent,
            ReceivedBatch,
            one=RECEIVED_ONE,
            many=RECEIVED_MANY,
        )
    },
)
async def post_webhook(request: web.Request) -> web.Response:
    """Receive a webhook event, or a batch.

    The body is one event, an array, one event a line, or a CloudEvent in any mode. The valid events of a batch are
    stored; a batch without a valid event is 400.

    With a `webhook-id` or an `Idempotency-Key`, a redelivery counts once; another event under the same key is 422.

    401 where WEBHOOK_API_KEY or WEBHOOK_SECRET is set and the key or the signature is missing or wrong.
    """
    senders.check_api_key(request)
    delivery = Delivery(request)
    refusals = request.app[REFUSALS][STREAM.name]
    try:
        verdict = await accept.events(request, STREAM, delivery, delivery.row, types=delivery.types)
    except InvalidEvent:
        await refusals.count(1)
        raise
    if isinstance(verdict, list):
        await refusals.count(sum(isinstance(each.error, InvalidEvent) for each in verdict))
        return _answer_many(verdict, delivery.received)
    return json_response(ReceivedEvent(True, TAKEN, Receipt(verdict.row[0], iso(_received_at(verdict)))))


Keyed = tuple[str | None, WebhookEvent]
"""An event with the key it brought itself (a CloudEvent's), if any."""


class Delivery:
    """What one request delivers: checked against its signature, decoded, and named by the delivery's key."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._signed: str | None = None
        self._key: str | None = None
        self.types = None if cloudevents.is_binary(request.headers) else TYPES
        """Its content types; of a CloudEvent in binary mode it is that of its data."""

    def decode(self, body: bytes, lines: bool) -> Keyed | list[Keyed | InvalidEvent]:
        """Return the event, or the many. Raises InvalidEvent for what is no JSON, BadRequest for too much, or (401) for
        a signature that does not count.

        A signature covers the body and the id, no other header. So the id alone names what is in a signed body, and the
        Content-Type never makes more events of it.
        """
        self.received = datetime.now(UTC)
        self._signed = senders.signed_id(self._request, body)
        self._key = self._signed or accept.idempotency_key(self._request, "webhook-id")
        decoder = self._request.app[DECODER]
        mapped = cloudevents.read(self._request.headers, body)
        if isinstance(mapped, list):
            return [_converted(decoder, event) for event in mapped]
        if mapped is not None:
            return raised(_converted(decoder, mapped))
        decoded = decoder.decode(body, lines and not (self._signed is not None and _is_json(body)))
        if isinstance(decoded, list):
            return [event if isinstance(event, InvalidEvent) else (None, event) for event in decoded]
        return [(None, decoded)] if lines else (None, decoded)

    def row(self, keyed: Keyed, key: str | None, place: int | None) -> Row:
        """Return the row of an event: under its own key, else the delivery's and its place in it, else a new id."""
        own, event = keyed
        key = self._key or key
        if own is not None and self._signed is None:
            return row(event, id_of_key(STREAM.name, f"cloudevent\n{own}"), self.received)
        # One event alone is the first of many: what is delivered again as an array of one is the same event.
        name = f"delivery\n{key}\n{place}" if place else f"delivery\n{key}"
        return row(event, id_of_key(STREAM.name, name) if key is not None else new_id(), self.received)


def _is_json(body: bytes) -> bool:
    try:
        parse(body)
    except InvalidEvent:
        return False
    return True


def _converted(decoder: Decoder[WebhookEvent], mapped: cloudevents.Mapped | InvalidEvent) -> Keyed | InvalidEvent:
    if isinstance(mapped, InvalidEvent):
        return InvalidEvent([fault(*one) for one in mapped.faults])
    key, event = mapped
    converted = decoder.convert(event)
    if isinstance(converted, InvalidEvent):
        return InvalidEvent([_in_their_words(one) for one in converted.faults])
    return key, converted


def _in_their_words(one: Fault) -> Fault:
    """A fault of a field by the name that the sender of a CloudEvent gave it."""
    return fault(cloudevents.WORDS[one.field], one.type, one.message.removeprefix(one.field).lstrip())


def _received_at(verdict: Verdict) -> datetime:
    """When an event was received first."""
    received: datetime = (
        verdict.record["received_at"] if verdict.state == "known" and verdict.record else verdict.row[-1]
    )
    return received


def _answer_many(verdicts: Sequence[Verdict], now: datetime) -> web.Response:
    taken = [verdict for verdict in verdicts if not verdict.error]
    wrong = {index: verdict.error for index, verdict in enumerate(verdicts) if verdict.error}
    if not taken:
        return _refused(wrong)
    duplicates = sum(verdict.state == "known" for verdict in taken)
    receipt = BatchReceipt(
        accepted=len(taken) - duplicates,
        duplicates=duplicates,
        event_ids=[verdict.row[0] for verdict in taken],
        received_at=iso(min(map(_received_at, taken), default=now)),
        rejected=[RejectedEvent(index, _faults(error)) for index, error in wrong.items()],
    )
    return json_response(ReceivedBatch(True, TAKEN, receipt))


def _refused(wrong: Mapping[int, StatsError]) -> web.Response:
    """The answer to a batch without a valid event. Raises KeyReused where that is all that is wrong."""
    first = next(iter(wrong.values()))
    if all(isinstance(error, KeyReused) for error in wrong.values()):
        raise first
    faults = [
        msgspec.structs.replace(one, path=[index, *one.path])
        for index, error in wrong.items()
        for one in _faults(error)
    ]
    return json_response(InvalidWebhook.of(InvalidEvent(faults)), 400)


def _faults(error: StatsError) -> list[Fault]:
    return faults_of(error) if isinstance(error, InvalidEvent) else [fault("", "any.key", str(error))]
