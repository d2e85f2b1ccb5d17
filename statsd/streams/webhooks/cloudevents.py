"""CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2): binary, structured and batched content mode.

Each becomes the JSON object of a webhook event: `type` is the eventType, `time` the timestamp; `source` and `id`
together are the key that makes a redelivery count once. All other attributes and the data go into the metadata.

Senders of CloudEvents know no userId. It is the first valid one of: the data's `userId`, the extension attribute
`userid`, the subject, the source (cut to the longest userId). Faults name the sender's attributes, not our fields.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from multidict import CIMultiDictProxy

from statsd.errors import InvalidEvent
from statsd.web.decode import NOT_BLANK_NO_CONTROLS, bounded, parse, single, text
from statsd.web.times import DATE_TIME

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
VERSION = "1.0"
MAPPED = frozenset({"specversion", "id", "type", "time"})  # attributes that do not go into the metadata
KEY_CHARACTERS = 1_000
JSON = ("application/json", "text/json", "")
TYPE_CHARACTERS = 50
USER_CHARACTERS = 100
_USER = re.compile(rf"(?=.{{1,{USER_CHARACTERS}}}\Z){NOT_BLANK_NO_CONTROLS}")

Attribute = msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS)

Mapped = tuple[str, dict[str, Any]]
"""The key of an event, and the event as a webhook's JSON object."""
Fault = tuple[str, str, str]
"""An attribute, the kind of the fault, and what it must be."""

IN_HEADERS = {
    "specversion": "`1.0`: a CloudEvent in binary mode, whose data is the body; refused where signatures are required",
    "id": "the id of the CloudEvent; with the source it is the key that makes a repeat count once",
    "source": "where the CloudEvent comes from; kept in the metadata, like every other attribute",
    "type": "becomes `eventType`",
    "time": "becomes `timestamp`",
    "subject": "becomes `userId`, unless the data or `ce-userid` has one",
}
"""What the attributes of the binary mode become."""


class CloudEvent(msgspec.Struct):
    """A CloudEvent in structured mode; every other attribute is kept in the metadata."""

    specversion: Literal["1.0"]
    id: Annotated[str, Attribute]
    source: Annotated[str, text(KEY_CHARACTERS)]
    type: Annotated[str, text(TYPE_CHARACTERS)]
    time: Annotated[datetime, msgspec.Meta(extra_json_schema=DATE_TIME)] | None = None
    data: Any = None


WORDS = {"eventType": "type", "userId": "source", "timestamp": "time", "metadata": "data"}
"""The attributes that the fields of a webhook event come from."""


def is_binary(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the attributes are in headers, and the body is the data alone."""
    return "ce-specversion" in headers


def read(headers: CIMultiDictProxy[str], body: bytes) -> list[Mapped | InvalidEvent] | Mapped | InvalidEvent | None:
    """Return the CloudEvent of a request, or a list for a batch; None for another kind of request.

    Raises InvalidEvent for invalid JSON, BadRequest (413) for an event over a mebibyte or for too many.
    """
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if is_binary(headers):
        return _from_binary(headers, media, single(body))
    if media == STRUCTURED:
        return _from_structured(parse(single(body)))
    if media != BATCH:
        return None
    raw = parse(body)
    if not isinstance(raw, list):
        return InvalidEvent([("", "array.base", "a batch of CloudEvents must be a JSON array")])
    return [_from_structured(event) for event in bounded(raw)]


def _from_binary(headers: CIMultiDictProxy[str], media: str, body: bytes) -> Mapped | InvalidEvent:
    attributes: dict[str, Any] = {"datacontenttype": media} if media and media != JSON[0] else {}
    broken = []
    for header, value in headers.items():
        name = header.lower().removeprefix("ce-")
        if len(name) < len(header):
            try:
                attributes[name] = unquote(value, errors="strict")
                attributes[name].encode()
            except UnicodeError:  # a byte that is not UTF-8, raw or percent-encoded
                broken.append((name, "string.base", "must be UTF-8, percent-encoded where it is not ASCII"))
    return InvalidEvent(broken) if broken else _mapped(attributes | _data(media, body))


def _from_structured(raw: Any) -> Mapped | InvalidEvent:
    if not isinstance(raw, dict):
        return InvalidEvent([("", "object.base", "a CloudEvent must be a JSON object")])
    return _mapped(raw)


def _data(media: str, body: bytes) -> dict[str, Any]:
    """The data as a JSON value, a text, or base64."""
    if not body:
        return {}
    if media in JSON or media.endswith("+json"):
        with suppress(InvalidEvent):  # invalid JSON is kept as a text
            return {"data": parse(body)}
    try:
        return {"data": body.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(body).decode()}


def _mapped(attributes: Mapping[str, Any]) -> Mapped | InvalidEvent:
    if faults := _faults(attributes):
        return InvalidEvent(faults)
    metadata = {name: value for name, value in attributes.items() if name not in MAPPED and value is not None}
    event = {"eventType": attributes["type"], "userId": _user(attributes), "metadata": metadata}
    if attributes.get("time") is not None:
        event["timestamp"] = attributes["time"]
    return f"{attributes['source']}\n{attributes['id']}", event


def _faults(attributes: Mapping[str, Any]) -> Sequence[Fault]:
    """What is wrong with the attributes that the specification requires."""
    musts = dict.fromkeys(
        ("id", "source", "type"), f"must be a non-empty string of at most {KEY_CHARACTERS} characters"
    )
    faults = []
    for name, must in {"specversion": f"must be {VERSION}", **musts}.items():
        value = attributes.get(name)
        if value is None:
            faults.append((name, "any.required", "is required"))
        elif value != VERSION if name == "specversion" else not _is_text(value):
            faults.append((name, "any.invalid", must))
    return faults


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= KEY_CHARACTERS


def _user(attributes: Mapping[str, Any]) -> str:
    data = attributes.get("data")
    of_data = data.get("userId") if isinstance(data, dict) else None
    source: str = attributes["source"]
    candidates = (of_data, attributes.get("userid"), attributes.get("subject"))
    texts = [str(user) if isinstance(user, int | float) and not isinstance(user, bool) else user for user in candidates]
    return next((user for user in texts if isinstance(user, str) and _USER.fullmatch(user)), source[:USER_CHARACTERS])
