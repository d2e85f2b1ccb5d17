"""CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2): binary, structured and batched content mode.

Each becomes the JSON object of a webhook event: `type` is the eventType, `time` the timestamp, `source` and `id` are
together the key that makes a redelivery count once; every other attribute, and the data, goes into the metadata.

The userId is the first that can be one of the data's `userId`, the extension attribute `userid`, the subject, and the
source, cut where it is too long: who sends CloudEvents knows of no userId. What is wrong is said in the sender's words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from statsd.errors import InvalidEvent
from statsd.web.decode import NOT_BLANK_NO_CONTROLS, bounded, parse, single

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
VERSION = "1.0"
TOP = frozenset({"specversion", "id", "type", "time"})  # what the event has a place of its own for
KEY_CHARACTERS = 1_000
JSON = ("application/json", "text/json", "")
USER_CHARACTERS = 100
_USER = re.compile(rf"(?=.{{1,{USER_CHARACTERS}}}\Z){NOT_BLANK_NO_CONTROLS}")

Mapped = tuple[str, dict[str, Any]]
"""The key of an event, and the event as a webhook's JSON object."""
Fault = tuple[str, str, str]
"""An attribute, the kind of the fault, and what it must be."""

IN_HEADERS = {
    "specversion": "`1.0`, of a CloudEvent in binary mode, whose data is the body; refused where signatures are wanted",
    "id": "its id, with the source the key that makes a repeat count once",
    "source": "where it comes from; kept in the metadata, as is any other attribute",
    "type": "its eventType",
    "time": "its timestamp",
    "subject": "the userId, where neither the data nor `ce-userid` has one",
}
"""What the attributes of the binary mode are to us."""

WORDS = {"eventType": "type", "userId": "source", "timestamp": "time", "metadata": "data"}
"""What a CloudEvent calls the fields of a webhook event."""


def is_binary(headers: CIMultiDictProxy[str]) -> bool:
    """Tell whether the attributes stand in headers, and the body is the data alone."""
    return "ce-specversion" in headers


def read(headers: CIMultiDictProxy[str], body: bytes) -> list[Mapped | InvalidEvent] | Mapped | InvalidEvent | None:
    """Return the event of a request, or the many of a batch; None for what is no CloudEvent.

    Raises InvalidEvent for what is no JSON, BadRequest (413) for one event over a mebibyte or too many.
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
    return [_from_structured(one) for one in bounded(raw)]


def _from_binary(headers: CIMultiDictProxy[str], media: str, body: bytes) -> Mapped | InvalidEvent:
    attributes: dict[str, Any] = {"datacontenttype": media} if media and media != JSON[0] else {}
    broken = []
    for header, value in headers.items():
        name = header.lower().removeprefix("ce-")
        if len(name) < len(header):
            try:
                attributes[name] = unquote(value, errors="strict")
                attributes[name].encode()
            except UnicodeError:  # a byte that is no UTF-8, as it came or behind a per cent sign
                broken.append((name, "string.base", "must be UTF-8, with what is not ASCII percent-encoded"))
    return InvalidEvent(broken) if broken else _mapped(attributes | _data(media, body))


def _from_structured(raw: Any) -> Mapped | InvalidEvent:
    if not isinstance(raw, dict):
        return InvalidEvent([("", "object.base", "a CloudEvent must be a JSON object")])
    return _mapped(raw)


def _data(media: str, body: bytes) -> dict[str, Any]:
    """The data as JSON has it: a value, a text, or base64."""
    if not body:
        return {}
    if media in JSON or media.endswith("+json"):
        with suppress(InvalidEvent):  # what is not the JSON it is said to be is kept as it came
            return {"data": parse(body)}
    try:
        return {"data": body.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(body).decode()}


def _mapped(attributes: Mapping[str, Any]) -> Mapped | InvalidEvent:
    if faults := _faults(attributes):
        return InvalidEvent(faults)
    metadata = {name: value for name, value in attributes.items() if name not in TOP and value is not None}
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
        given = attributes.get(name)
        if given is None:
            faults.append((name, "any.required", "is required"))
        elif given != VERSION if name == "specversion" else not _is_text(given):
            faults.append((name, "any.invalid", must))
    return faults


def _is_text(given: Any) -> bool:
    return isinstance(given, str) and 1 <= len(given) <= KEY_CHARACTERS


def _user(attributes: Mapping[str, Any]) -> str:
    data = attributes.get("data")
    of_data = data.get("userId") if isinstance(data, dict) else None
    source: str = attributes["source"]
    candidates = (of_data, attributes.get("userid"), attributes.get("subject"))
    texts = [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in candidates]
    return next((one for one in texts if isinstance(one, str) and _USER.fullmatch(one)), source[:USER_CHARACTERS])
