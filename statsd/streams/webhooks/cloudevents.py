"""CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2): binary, structured and batched content mode.

A CloudEvent becomes a webhook event: `type` is the eventType, `time` the timestamp; `source` and `id` together are the
idempotency key. The data and all other attributes go into the metadata, in a form that is the same in every mode.

The userId is the first valid one of: the data's `userId`, the extension attribute `userid`, the subject, the source
(cut to the longest userId). Faults name the attributes of the CloudEvent, not the fields of the webhook event.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from statsd.errors import BadRequest, InvalidEvent
from statsd.streams.webhooks import cloud_attributes, cloud_data
from statsd.streams.webhooks.answers import Fault
from statsd.streams.webhooks.event import USER_CHARACTERS, KeyedEvent, WebhookEvent
from statsd.web.decode import Batch, parse, raised, single
from statsd.web.operation import Parameter
from statsd.web.texts import NOT_BLANK_NO_CONTROLS

MEDIA_TYPES = "application/cloudevents"  # how the media types of structured and batched events begin
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
UTF_8 = ("utf-8", "utf8", "us-ascii")
MAPPED = frozenset({"specversion", "id", "type", "time"})  # attributes that do not go into the metadata
ATTRIBUTES = {"eventType": "type", "userId": "source", "timestamp": "time", "metadata": "data"}
"""The attribute that each field of a webhook event comes from."""
_USER = re.compile(rf"(?=.{{1,{USER_CHARACTERS}}}\Z){NOT_BLANK_NO_CONTROLS}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.?)*+)("?)')

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


def is_binary(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the attributes are in headers, and the body is the data alone.

    Without its version it is not valid, but told so. A structured event may repeat its attributes in headers.
    """
    is_marked = "ce-specversion" in headers or all(name in headers for name in ("ce-id", "ce-source", "ce-type"))
    return is_marked and not _media(headers).startswith(MEDIA_TYPES)


def decides(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the request has CloudEvents: of any format, or as data of any type."""
    return is_binary(headers) or _media(headers).startswith(MEDIA_TYPES)


def decode(headers: CIMultiDictProxy[str], body: bytes, convert: Convert) -> KeyedEvent | Batch[KeyedEvent] | None:
    """Return the event of a request, or a batch; None for a request without a CloudEvent.

    Raises InvalidEvent for an invalid event that came alone or invalid JSON; BadRequest: 413 for an event over a
    mebibyte or for too many events, 415 for another format than JSON in UTF-8.
    """
    media = _media(headers)
    if not media.startswith(MEDIA_TYPES):
        return raised(_binary_event(headers, single(body), convert)) if is_binary(headers) else None
    if media not in (STRUCTURED, BATCH):
        raise BadRequest(415, f"Content-Type: must be {STRUCTURED} or {BATCH} (got {media})")
    if cloud_data.charset(headers["Content-Type"]) not in UTF_8:
        raise BadRequest(415, "Content-Type: the charset must be utf-8, as in all JSON")
    if media == STRUCTURED:
        return raised(_event_of_members(parse(single(body)), convert))
    batch = parse(body)
    if not isinstance(batch, list):
        raise InvalidEvent([Fault.of("", "array.base", "a batch of CloudEvents must be a JSON array")])
    return Batch(batch, lambda part: [_event_of_members(members, convert) for members in part], may_be_empty=True)


def _media(headers: CIMultiDictProxy[str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _binary_event(headers: CIMultiDictProxy[str], body: bytes, convert: Convert) -> KeyedEvent | InvalidEvent:
    texts, faults = _members(headers)
    attributes, others = cloud_attributes.canonical(texts)
    data = cloud_data.of_bytes(body, attributes["datacontenttype"])
    return _event(attributes, data, _merged(faults, others), convert)


def _members(headers: CIMultiDictProxy[str]) -> tuple[dict[str, str], list[Fault]]:
    """Return the attributes in headers, decoded, and the faults of those that cannot be."""
    content_type = headers.get("Content-Type", "").strip()
    members = {"datacontenttype": content_type} if content_type and content_type.isascii() else {}
    faults = [] if content_type.isascii() else [Fault.of("datacontenttype", "string.base", "must be ASCII")]
    seen = set()
    for header, value in headers.items():
        name = header.lower().removeprefix("ce-")
        if len(name) == len(header):
            continue
        if name in seen:
            faults.append(Fault.of(name, "any.duplicate", "must be given once"))
        elif name in cloud_data.MEMBERS:
            faults.append(Fault.of(name, "object.unknown", "is not an attribute: the data is the body"))
        elif (text := _decoded(value)) is None:
            faults.append(Fault.of(name, "string.base", "must be UTF-8, percent-encoded where it is not ASCII"))
        elif name == "datacontenttype" and text != content_type:
            faults.append(Fault.of(name, "object.unknown", "must be in the Content-Type"))
        else:
            members[name] = text
        seen.add(name)
    return members, faults


def _decoded(value: str) -> str | None:
    """Return the text of a header, without its quotes, then percent-decoded; None if a byte of it is not UTF-8."""
    try:
        text = unquote(_QUOTED.sub(_unquoted, value), errors="strict")
        text.encode()  # aiohttp keeps bytes that are not UTF-8 as surrogates
    except UnicodeError:
        return None
    return text


def _unquoted(match: re.Match[str]) -> str:
    """Return what stands in quotes (RFC 9110 §5.6.4). A quote that is not closed is a character like others."""
    return re.sub(r"\\(.)", r"\1", match[1]) if match[2] else match[0]


def _event_of_members(members: Any, convert: Convert) -> KeyedEvent | InvalidEvent:
    """Return the event in the JSON format."""
    if not isinstance(members, dict):
        return InvalidEvent([Fault.of("", "object.base", "a CloudEvent must be a JSON object")])
    attributes, faults = cloud_attributes.canonical(members)
    data, others = cloud_data.of_members(members, attributes["datacontenttype"])
    return _event(attributes, data, [*faults, *others], convert)


def _event(
    attributes: Mapping[str, str], data: Mapping[str, Any], faults: Sequence[Fault], convert: Convert
) -> KeyedEvent | InvalidEvent:
    """Return the webhook event, or all faults: those found so far, and those of the webhook event's own fields."""
    metadata = {**{name: text for name, text in attributes.items() if name not in MAPPED}, **data}
    fields = {"eventType": attributes.get("type"), "userId": _user(attributes, data), "metadata": metadata}
    event = convert({**fields, "timestamp": attributes.get("time")})
    if isinstance(event, InvalidEvent):
        return InvalidEvent(_merged(faults, [_of_attribute(fault) for fault in event.faults]))
    return InvalidEvent(faults) if faults else KeyedEvent(event, f"{attributes['source']}\n{attributes['id']}")


def _merged(faults: Sequence[Fault], others: Sequence[Fault]) -> list[Fault]:
    """Return faults, and others of further attributes: the first fault of an attribute explains those after it."""
    named = {fault.field for fault in faults}
    return [*faults, *(fault for fault in others if fault.field not in named)]


def _of_attribute(fault: Fault) -> Fault:
    """Return the fault of a field as a fault of the attribute that the field comes from."""
    return Fault.of(ATTRIBUTES[fault.field], fault.type, fault.message.removeprefix(fault.field).lstrip())


def _user(attributes: Mapping[str, str], data: Mapping[str, Any]) -> str:
    value = data.get("data")
    user_in_data = value.get("userId") if isinstance(value, dict) else None
    for user in (user_in_data, attributes.get("userid"), attributes.get("subject")):
        name = str(user) if type(user) in (int, float) else user
        if isinstance(name, str) and _USER.fullmatch(name):
            return name
    return attributes.get("source", "")[:USER_CHARACTERS]
