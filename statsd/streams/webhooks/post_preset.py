"""`POST /webhook/{sender}`: receive the webhooks of a service of the table of presets as the service sends them."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from statsd.accounts import access
from statsd.errors import BadRequest, InvalidEvent
from statsd.streams.webhooks import answers, forms, metadata, senders
from statsd.streams.webhooks.decoder import DECODER
from statsd.streams.webhooks.event import KeyedEvent
from statsd.streams.webhooks.layout import Headers, moment
from statsd.streams.webhooks.post import Delivery, receive
from statsd.streams.webhooks.presets import PRESETS, setting
from statsd.web.answers import Success, json_response
from statsd.web.asked import media_type
from statsd.web.decode import Batch, parse, raised
from statsd.web.operation import Answer, Operation, Parameter

TYPES = ("application/json", "text/plain", "application/octet-stream", "", forms.FORM)

Payload = Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class Challenged(Exception):
    """The delivery only asks whether anybody is there; `answer` is what it wants to hear."""

    def __init__(self, answer: dict[str, str]) -> None:
        self.answer = answer


def _headers() -> dict[str, Parameter]:
    """Return the headers that the table names, with the services that send them."""
    return {
        name: Parameter(str, f"sent by {sender}")
        for sender, preset in PRESETS.items()
        for name in (*preset.layout.headers, *preset.scheme.headers)
    }


@Operation(
    origins="any",
    access="ingest",
    envelope=answers.InvalidWebhook,
    path={"sender": Parameter(Literal[*sorted(PRESETS)], "the service", example="github")},
    body=Payload,
    example={"action": "opened", "sender": {"login": "octocat"}},
    media={forms.FORM: Payload},
    headers=_headers(),
    guards=senders.GUARDS,
    is_signed=senders.is_signed,
    answers={
        200: Answer(
            "stored, or on disk until the database is back; for a challenge, the answer to it",
            Success[answers.Receipt],
            Success[answers.BatchReceipt],
            answers.Challenge,
            event=Success(message=answers.MESSAGE, data=answers.Receipt(answers.ID, answers.RECEIVED_AT)),
        ),
        404: "unknown sender",
    },
)
async def post_preset(request: web.Request) -> web.Response:
    """Receive a webhook of a service, as the service sends it.

    The body is JSON, a form, or a form whose only field `payload` is JSON. /docs/senders.html has the table of what is
    read from it. The whole payload is kept as metadata, reduced if it is large.

    A delivery with a known id counts once, whatever else differs.

    If the service has a secret (such as WEBHOOK_GITHUB_SECRET), a missing or wrong signature is 401. Without one, the
    guards are those of `/webhook`. An API token with the scope `ingest:webhooks` stands in place of all of them.
    """
    sender = request.match_info["sender"]
    if sender not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise BadRequest(404, f"unknown sender: it must be one of {known}; others post to /webhook")
    try:
        is_let_in = await _is_let_in(request, sender)
        return await receive(request, PresetDelivery(request, sender, is_signed=not is_let_in))
    except Challenged as challenged:
        return json_response(msgspec.json.encode(challenged.answer))
    except BadRequest as error:
        if error.status == 401 and sender not in request.app[senders.KEYS]:
            raise BadRequest(401, f"{error}; with {setting(sender)}, deliveries are signed instead") from error
        raise


async def _is_let_in(request: web.Request, sender: str) -> bool:
    """Whether a request needs no signature, because of a token. Raises BadRequest (401) without a key it must have."""
    if sender in request.app[senders.KEYS]:
        return await access.has_ingest_token(request, "webhooks")
    has_token = await senders.has_token(request)
    if not has_token:
        senders.check_api_key(request)
    return has_token


class PresetDelivery(Delivery):
    """The events of a service's request: one, or as many as the array in the body has."""

    def __init__(self, request: web.Request, sender: str, *, is_signed: bool) -> None:
        super().__init__(request, is_signed=is_signed)
        self._sender = sender
        self._preset = PRESETS[sender]
        self._decoder = request.app[DECODER]
        self.types = TYPES

    def decode(self, body: bytes, lines: bool) -> KeyedEvent | Batch[KeyedEvent]:
        """Return the event or the batch. Raises InvalidEvent, BadRequest (401) and Challenged."""
        headers = self._request.headers
        self._now = datetime.now(UTC)
        if self._is_signed and (keys := self._request.app[senders.KEYS].get(self._sender)):
            self._preset.scheme.verify(keys, headers, body, time.time())
        elif self._is_signed:
            self._key = self._signed_id = senders.signed_id(self._request, body)
        value = forms.decode(body) if media_type(self._request) == forms.FORM else parse(body)
        if isinstance(value, list):
            return Batch(value, lambda values: [self._event(value, headers) for value in values])
        if answer := self._preset.answer(value):
            raise Challenged(answer)
        return raised(self._event(value, headers))

    def _event(self, payload: Any, headers: Headers) -> KeyedEvent | InvalidEvent:
        if not isinstance(payload, dict) or not payload:
            return InvalidEvent(["a webhook must be a JSON object with fields"])
        layout = self._preset.layout
        event = self._decoder.convert({
            "eventType": layout.event_type(payload, headers) or self._sender,
            "userId": layout.user_id(payload, headers) or self._sender,
            "timestamp": self._time(payload, headers),
            "metadata": metadata.reduced(payload),
        })  # fmt: skip
        if isinstance(event, InvalidEvent):  # a type that WEBHOOK_EVENT_TYPES does not have
            return event
        id = layout.event_id(payload, headers)
        scope = f"preset {self._sender}"
        return KeyedEvent(event, id.text, scope, is_shared=id.is_shared, by_id=True) if id else KeyedEvent(event)

    def _time(self, payload: Any, headers: Headers) -> datetime | None:
        """Return the time of an event; None if it has none that can be read, so that the time of receipt counts."""
        found = self._preset.layout.timestamp(payload, headers)
        with suppress(ValueError):
            return moment(found.value) if found else None
        return None
