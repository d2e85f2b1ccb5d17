"""`POST /webhook`: receive events in any of the forms that services send."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from aiohttp import web

from statsd.errors import InvalidEvent, KeyReused, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of, new_id
from statsd.ingest.lean import Way, storing
from statsd.ingest.refusals import REFUSALS
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS
from statsd.stream import Row
from statsd.streams.webhooks import answers, cloudevents, forms, refused, senders
from statsd.streams.webhooks.cloud_attributes import ExtendedEvent
from statsd.streams.webhooks.decoder import DECODER, SentEvent, StandardWebhook
from statsd.streams.webhooks.event import KeyedEvent, WebhookEvent, row
from statsd.streams.webhooks.stream import STREAM
from statsd.web import SETTINGS
from statsd.web.answers import Reply, Success, json_response
from statsd.web.asked import JSON_TYPES, media_type
from statsd.web.decode import Batch, parse, raised, single
from statsd.web.meter import ERROR
from statsd.web.operation import Answer, Operation
from statsd.web.times import iso

TYPES = (*JSON_TYPES, cloudevents.STRUCTURED, cloudevents.BATCH, forms.FORM)


@Operation(
    origins="any",
    access="ingest",
    envelope=answers.InvalidWebhook,
    grants=True,
    body=WebhookEvent | StandardWebhook,
    batch=True,
    example=answers.EXAMPLE,
    media={
        cloudevents.STRUCTURED: ExtendedEvent,
        cloudevents.BATCH: list[ExtendedEvent],
        forms.FORM: forms.FormEvent,
    },
    keys=["webhook-id", "Idempotency-Key"],
    headers={**senders.HEADERS, **cloudevents.HEADERS},
    guards=senders.GUARDS,
    answers={
        200: Answer(
            "stored, or on disk until the database is back",
            Success[answers.Receipt],
            Success[answers.BatchReceipt],
            event=Success(message=answers.MESSAGE, data=answers.Receipt(answers.ID, answers.RECEIVED_AT)),
        )
    },
)
async def post_webhook(request: web.Request) -> web.Response:
    """Receive a webhook event or a batch.

    The body is one event, an array, one event per line, a form, or a CloudEvent in any mode. An event may also have the
    form that Standard Webhooks recommends, or that the settings WEBHOOK_TYPE_FROM, WEBHOOK_USER_FROM, WEBHOOK_TIME_FROM
    and WEBHOOK_ID_FROM describe. The valid events of a batch are stored; a batch without a valid event is 400.

    With a `webhook-id` or an `Idempotency-Key`, a redelivery counts once; another event under the same key is 422.

    If WEBHOOK_API_KEY or WEBHOOK_SECRET is set, a missing or wrong key or signature is 401. An API token with the scope
    `ingest:webhooks` stands in place of both.
    """
    has_token = await senders.has_token(request)
    if not has_token:
        senders.check_api_key(request)
    return await receive(request, Delivery(request, is_signed=not has_token))


async def receive(request: web.Request, delivery: "Delivery") -> web.Response:
    """Store the events of a delivery and return the receipt. Raises what `accept.events` raises."""
    refusals = request.app[REFUSALS][STREAM.name]
    try:
        verdicts = await accept.events(
            request, STREAM, delivery, delivery.row, types=delivery.types, is_repeat=delivery.is_repeat
        )
    except InvalidEvent:
        await refusals.count(1)
        raise
    if isinstance(verdicts, Verdict):
        return json_response(*_receipt(verdicts))
    await refusals.count(sum(isinstance(verdict.error, InvalidEvent) for verdict in verdicts))
    if some := refused.of_batch(verdicts, refused.MOST_REASONS + 1):
        request[ERROR] = some
    return _batch_response(verdicts)


def way(app: web.Application) -> Way | None:
    """Return the lean way in, for a single event without a key; None where it needs a signature or an API key."""
    settings, decoder = app[SETTINGS], app[DECODER]
    if decoder.has_settings:  # they may name headers, of which the lean front knows nothing
        decoder = decoder.of_own_form()
    if settings.webhook_secrets or settings.webhook_api_key:
        return None

    def make_row(body: bytes, _: str) -> Row | None:
        event = decoder.decode(body)
        return None if isinstance(event, Batch) else row(event, new_id(), datetime.now(UTC), settings.ip)

    return Way(storing(app[WRITERS][STREAM.name], make_row), _receipt)


def _receipt(verdict: Verdict) -> Reply:
    receipt = answers.Receipt(verdict.row[0], iso(_received_at(verdict)))
    return Success(message=answers.MESSAGE, data=receipt), 200, {}


class Delivery:
    """The events of a request: decodes them, and makes their rows under the delivery's key."""

    def __init__(self, request: web.Request, *, is_signed: bool = True) -> None:
        self._request = request
        self._is_signed = is_signed  # where WEBHOOK_SECRET is set
        self._signed_id: str | None = None
        self._key: str | None = None
        self._by_id: set[UUID] = set()
        self.types: Collection[str] | None = None if cloudevents.decides(request.headers) else TYPES
        """The allowed content types. None: `cloudevents.decode` knows them."""

    def decode(self, body: bytes, lines: bool) -> KeyedEvent | Batch[KeyedEvent]:
        """Return the event or the batch. Raises InvalidEvent, and BadRequest: 401 wrong signature, 413 too large.

        A signature covers the body and the id, but not the other headers. Therefore the id alone is the key of a signed
        delivery, and the Content-Type cannot split a signed JSON document into lines.
        """
        self._now = datetime.now(UTC)
        self._signed_id = senders.signed_id(self._request, body) if self._is_signed else None
        self._key = self._signed_id or accept.idempotency_key(self._request, "webhook-id")
        decoder = self._request.app[DECODER].of(self._request.headers)
        cloud_events = cloudevents.decode(self._request.headers, body, decoder.convert)
        if cloud_events is not None:
            return cloud_events
        if media_type(self._request) == forms.FORM:
            return _keyed(raised(decoder.convert(forms.decode(single(body)))))
        decoded = decoder.decode(body, lines and not (self._signed_id and _is_json(body)))
        if isinstance(decoded, Batch):
            return decoded.map(_keyed)
        return Batch([_keyed(decoded)], list) if lines else _keyed(decoded)

    def row(self, keyed: KeyedEvent, key: str | None, index: int | None) -> Row:
        """Return the row of an event. Its id follows from its own key, or from the delivery's key and its index."""
        key, has_own_key = self._key or key, keyed.key and not self._signed_id
        if has_own_key:
            key = f"{keyed.scope}\n{keyed.key}"
        elif key:
            key = f"delivery\n{key}"
        if key and index and (keyed.is_shared or not has_own_key):
            # An event alone has the id of the first event of a batch: sent again as an array of one, it is a repeat.
            key = f"{key}\n{index}"
        id = id_of(STREAM.name, key)
        if has_own_key and keyed.by_id:
            self._by_id.add(id)
        return row(keyed.event, id, self._now, self._request.app[SETTINGS].ip)

    def is_repeat(self, row: Row, record: asyncpg.Record) -> bool:
        """Whether an event with a known id is a repeat: by its sender's own id, or because nothing differs."""
        return row[0] in self._by_id or bool(record["same"])


def _keyed(event: WebhookEvent) -> KeyedEvent:
    if type(event) is not SentEvent or event.id is None:
        return KeyedEvent(event)
    return KeyedEvent(event, event.id.text, "sender", is_shared=event.id.is_shared, by_id=True)


def _is_json(body: bytes) -> bool:
    try:
        parse(body)
    except InvalidEvent:
        return False
    return True


def _received_at(verdict: Verdict) -> datetime:
    """Return when an event was first received."""
    record = verdict.record if verdict.state == "known" else None
    received_at: datetime = record["received_at"] if record else verdict.row[-1]
    return received_at


def _batch_response(verdicts: Sequence[Verdict]) -> web.Response:
    accepted = [verdict for verdict in verdicts if not verdict.error]
    if verdicts and not accepted:
        raise _refused_batch(verdicts)
    duplicates = sum(verdict.state == "known" for verdict in accepted)
    receipt = answers.BatchReceipt(
        accepted=len(accepted) - duplicates,
        duplicates=duplicates,
        event_ids=[verdict.row[0] for verdict in accepted],
        received_at=iso(min(map(_received_at, accepted), default=datetime.now(UTC))),
        rejected=[
            answers.RejectedEvent(index, answers.faults_of(verdict.error))
            for index, verdict in enumerate(verdicts)
            if verdict.error
        ],
    )
    return json_response(Success(message=answers.MESSAGE, data=receipt))


def _refused_batch(verdicts: Sequence[Verdict]) -> StatsError:
    """Return the error for a batch without a valid event: KeyReused if all of them have used keys."""
    errors = [verdict.error for verdict in verdicts if verdict.error]
    all_reused = all(isinstance(error, KeyReused) for error in errors)
    return errors[0] if all_reused else refused.of_batch(verdicts) or InvalidEvent([])
