"""CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2): binary, structured and batched content mode.

A CloudEvent becomes a webhook event: `type` is the eventType, `time` the timestamp; `source` and `id` together are the
idempotency key. The data and all other attributes go into the metadata.

The userId is the first valid one of: the data's `userId`, the extension attribute `userid`, the subject, the source
(cut to the longest userId). Faults name the attributes of the CloudEvent, not the fields of the webhook event.
"""

import base64
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from multidict import CIMultiDictProxy

from statsd.errors import InvalidEvent
from statsd.streams.webhooks.answers import Fault
from statsd.streams.webhooks.event import TYPE_CHARACTERS, USER_CHARACTERS, KeyedEvent, WebhookEvent
from statsd.web.decode import NOT_BLANK_NO_CONTROLS, Batch, When, parse, raised, single, text
from statsd.web.operation import Parameter

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type")
MAPPED = frozenset({"specversion", "id", "type", "time"})  # attributes that do not go into the metadata
ATTRIBUTES = {"eventType": "type", "userId": "source", "timestamp": "time", "metadata": "data"}
"""The attribute that each field of a webhook event comes from."""
KEY_CHARACTERS = 1_000
JSON = ("application/json", "text/json", "")
_USER = re.compile(rf"(?=.{{1,{USER_CHARACTERS}}}\Z){NOT_BLANK_NO_CONTROLS}")

Convert = Callable[[Any], WebhookEvent | InvalidEvent]
"""Converts the JSON object of a webhook event."""

HEADERS = {
    "ce-specversion": Parameter(
        str, "`1.0`: a CloudEvent in binary mode, whose data is the body; refused if signatures are required"
    ),
    "ce-id": Parameter(str, "the id of the CloudEvent; with the source it is the idempotency key"),
    "ce-source": Parameter(str, "the source of the CloudEvent; kept in the metadata, like every other attribute"),
    "ce-type": Parameter(str, "becomes `eventType`"),
    "ce-time": Parameter(str, "becomes `timestamp`"),
    "ce-subject": Parameter(str, "becomes `userId`, unless the data or `ce-userid` has one"),
}
"""The attributes in the binary mode."""


class CloudEvent(msgspec.Struct):
    """A CloudEvent in structured mode; all other attributes are kept in the metadata."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS)]
    source: Annotated[str, text(KEY_CHARACTERS)]
    type: Annotated[str, text(TYPE_CHARACTERS)]
    time: When | None = None
    data: Any = None


def is_binary(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the attributes are in headers, and the body is the data alone."""
    return "ce-specversion" in headers


def decode(headers: CIMultiDictProxy[str], body: bytes, convert: Convert) -> KeyedEvent | Batch[KeyedEvent] | None:
    """Return the event of a request, or a batch; None for a request without a CloudEvent.

    Raises InvalidEvent for an invalid event that came alone or invalid JSON, BadRequest (413) for an event over a
    mebibyte or for too many events.
    """
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if is_binary(headers):
        return raised(_event(_binary(headers, media, single(body)), convert))
    if media == STRUCTURED:
        return raised(_event(parse(single(body)), convert))
    if media != BATCH:
        return None
    batch = parse(body)
    if not isinstance(batch, list):
        raise InvalidEvent([Fault.of("", "array.base", "a batch of CloudEvents must be a JSON array")])
    return Batch(batch, lambda part: [_event(attributes, convert) for attributes in part])


def _binary(headers: CIMultiDictProxy[str], media: str, body: bytes) -> dict[str, Any]:
    """Return the attributes and the data of a CloudEvent in binary mode. Raises InvalidEvent."""
    attributes: dict[str, Any] = {"datacontenttype": media} if media and media != JSON[0] else {}
    faults = [] if media.isascii() else [Fault.of("datacontenttype", "string.base", "must be ASCII")]
    for header, value in headers.items():
        name = header.lower().removeprefix("ce-")
        if len(name) < len(header):
            try:
                attributes[name] = unquote(value, errors="strict")
                attributes[name].encode()
            except UnicodeError:  # a byte that is not UTF-8, raw or percent-encoded
                must = "must be UTF-8, percent-encoded where it is not ASCII"
                faults.append(Fault.of(name, "string.base", must))
    if faults:
        raise InvalidEvent(faults)
    return attributes | _data(media, body)


def _data(media: str, body: bytes) -> dict[str, Any]:
    """Return the data as a JSON value, a text, or base64."""
    if not body:
        return {}
    if media in JSON or media.endswith("+json"):
        with suppress(InvalidEvent):  # invalid JSON is kept as a text
            return {"data": parse(body)}
    try:
        return {"data": body.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(body).decode()}


def _event(attributes: Any, convert: Convert) -> KeyedEvent | InvalidEvent:
    if not isinstance(attributes, dict):
        return InvalidEvent([Fault.of("", "object.base", "a CloudEvent must be a JSON object")])
    if faults := _faults(attributes):
        return InvalidEvent(faults)
    metadata = {name: value for name, value in attributes.items() if name not in MAPPED and value is not None}
    fields = {"eventType": attributes["type"], "userId": _user(attributes), "metadata": metadata}
    event = convert({**fields, "timestamp": attributes.get("time")})
    if isinstance(event, InvalidEvent):
        return InvalidEvent([_of_attribute(fault) for fault in event.faults])
    return KeyedEvent(event, f"{attributes['source']}\n{attributes['id']}")


def _faults(attributes: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of the required attributes."""
    faults = []
    for name in REQUIRED:
        value = attributes.get(name)
        if value is None:
            faults.append(Fault.of(name, "any.required", "is required"))
        elif name == "specversion" and value != "1.0":
            faults.append(Fault.of(name, "any.invalid", "must be 1.0"))
        elif not (isinstance(value, str) and 1 <= len(value) <= KEY_CHARACTERS):
            must = f"must be a non-empty string of at most {KEY_CHARACTERS} characters"
            faults.append(Fault.of(name, "any.invalid", must))
    return faults


def _of_attribute(fault: Fault) -> Fault:
    """Return the fault of a field as a fault of the attribute that the field comes from."""
    return Fault.of(ATTRIBUTES[fault.field], fault.type, fault.message.removeprefix(fault.field).lstrip())


def _user(attributes: Mapping[str, Any]) -> str:
    data = attributes.get("data")
    user_in_data = data.get("userId") if isinstance(data, dict) else None
    for user in (user_in_data, attributes.get("userid"), attributes.get("subject")):
        name = str(user) if type(user) in (int, float) else user
        if isinstance(name, str) and _USER.fullmatch(name):
            return name
    source: str = attributes["source"]
    return source[:USER_CHARACTERS]
