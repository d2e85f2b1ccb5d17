"""Bodies of `POST /webhook` in our own form, in the form that Standard Webhooks recommends, and in forms of settings.

A body without `eventType` is of another form if it has a type. Standard Webhooks has `type`, `timestamp` and `data`;
the settings WEBHOOK_TYPE_FROM, …_USER_FROM, …_TIME_FROM and …_ID_FROM say where others have theirs. The metadata is the
`data` of a body with nothing else, and the whole body of others.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Self

import msgspec
from aiohttp import web

from statsd.errors import InvalidEvent
from statsd.settings import Settings
from statsd.streams.webhooks import metadata
from statsd.streams.webhooks.answers import Fault
from statsd.streams.webhooks.cloudevents import STRUCTURED
from statsd.streams.webhooks.event import TYPE_CHARACTERS, StrictEvent, WebhookEvent, check, explain
from statsd.streams.webhooks.layout import Found, Headers, Id, Layout, moment
from statsd.web.decode import Decoder, When, label
from statsd.web.texts import nfc
from statsd.web.times import INSTANT_RULE

STANDARD = Layout(
    type=("type",),
    user=("userId", "user_id", "user.id", "user", "data.userId", "data.user_id", "data.user.id", "data.user"),
    time=("timestamp",),
)
STANDARD_FIELDS = frozenset(("type", "timestamp", "data", "userId", "user_id"))
NOBODY = "webhook"
"""The userId of an event that names nobody: the end of the address that it was posted to."""
TIME_RULE = f"must be {INSTANT_RULE}, or seconds or milliseconds since 1970"


class StandardWebhook(msgspec.Struct):
    """The payload that Standard Webhooks recommends. The userId is the one in `data`, if there is one."""

    type: Annotated[str, label(TYPE_CHARACTERS)]
    timestamp: When | None = None
    data: Any = None


class SentEvent(WebhookEvent, frozen=True, kw_only=True):
    """An event in another form than ours, with the id that its sender gave it."""

    id: Id | None = None


class EventDecoder(Decoder[WebhookEvent]):
    """Decodes the events of a request, whose headers `of` sets. Forms other than ours take the slow path alone."""

    def __init__(self, settings: Settings) -> None:
        struct = StrictEvent if settings.webhook_strict else WebhookEvent
        allowed = [*map(nfc, settings.webhook_event_types)]
        super().__init__(struct, partial(check, allowed=allowed), explain)
        own = (settings.webhook_type_from, settings.webhook_user_from, settings.webhook_time_from)
        self.has_settings = any((*own, settings.webhook_id_from))
        self._is_strict = settings.webhook_strict and not self.has_settings
        self._layout: Layout | None = Layout(
            type=own[0] + STANDARD.type,
            user=own[1] + STANDARD.user,
            time=own[2] + STANDARD.time,
            id=settings.webhook_id_from,
        )
        self._reads_headers = bool(self._layout.headers)
        self._headers: Headers = {}

    def of(self, headers: Headers) -> Self:
        """Return the decoder for a request with these headers."""
        if not self._reads_headers:
            return self
        decoder = copy.copy(self)
        decoder._headers = headers
        return decoder

    def of_own_form(self) -> Self:
        """Return a decoder that refuses other forms than ours."""
        decoder = copy.copy(self)
        decoder._layout = None
        return decoder

    def convert(self, value: Any) -> WebhookEvent | InvalidEvent:
        """Return the event in a JSON value, or its faults, under the names that the sender knows."""
        layout = self._layout
        is_own = layout is None or not isinstance(value, dict) or value.get("eventType") is not None
        if layout and not is_own and (types := layout.types(value, self._headers)):
            return self._sent(value, layout, types)
        return super().convert(value)

    def _sent(self, body: dict[str, Any], layout: Layout, types: Sequence[Found]) -> SentEvent | InvalidEvent:
        faults = [explain(name, ...) for name in body if name not in STANDARD_FIELDS] if self._is_strict else []
        if "specversion" in body and not self.has_settings:  # as another form it would lose its time and its id
            faults.append(Fault.of("specversion", "any.invalid", f"makes a CloudEvent: send it as {STRUCTURED}"))
        event_type = layout.event_type(body, self._headers)
        if event_type is None:
            faults.append(_renamed(explain("eventType", types[0].value), types[0].path))
        timestamp, found = None, layout.timestamp(body, self._headers)
        try:
            timestamp = moment(found.value) if found else None
        except ValueError:
            faults.append(Fault.of(found.path if found else "", "string.isoDate", TIME_RULE))
        kept = _metadata(body)
        event = SentEvent(
            eventType=event_type or "",
            userId=layout.user_id(body, self._headers) or NOBODY,
            timestamp=timestamp,
            metadata=kept and metadata.reduced(kept),
            id=layout.event_id(body, self._headers),
        )
        if not faults:  # then only WEBHOOK_EVENT_TYPES may have something against it
            faults = [_renamed(fault, types[0].path) for fault in self._check(event)]
        return InvalidEvent(faults) if faults else event


def _renamed(fault: Fault, path: str) -> Fault:
    """Return the fault of a field under the name that the sender knows."""
    return Fault.of(path, fault.type, fault.message.removeprefix(fault.field).lstrip())


def _metadata(body: dict[str, Any]) -> dict[str, Any] | None:
    data = body.get("data")
    is_standard = STANDARD_FIELDS.issuperset(body) and (data is None or isinstance(data, dict))
    return data if is_standard else body


DECODER: web.AppKey[EventDecoder] = web.AppKey("webhook_decoder")
