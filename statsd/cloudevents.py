"""CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2): binary, structured and batched content mode.

Each becomes the JSON object of a webhook event: `type` is the eventType, `time` the timestamp, `source` and `id`
together the key that makes a redelivery count once; every other attribute, and the data, goes into the metadata. The
userId is the data's `userId`, else the extension attribute `userid`, else the subject, else the source.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from statsd.decode import bounded, parse, single
from statsd.errors import InvalidEvent

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
VERSION = "1.0"
TOP = frozenset({"specversion", "id", "type", "time"})  # what the event has a place of its own for
KEY_CHARACTERS = 1_000
NO_UTF8 = re.compile(r"[\ud800-\udfff]")  # what aiohttp reads such bytes of a header as
JSON = ("application/json", "text/json", "")

Mapped = tuple[str, dict[str, Any]]
"""The key of an event, and the event as a webhook's JSON object."""
Fault = tuple[str, str]
"""An attribute, and what it must be."""


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
        return InvalidEvent([("", "a batch of CloudEvents must be a JSON array")])
    return [_from_structured(one) for one in bounded(raw)]


def _from_binary(headers: CIMultiDictProxy[str], media: str, body: bytes) -> Mapped | InvalidEvent:
    attributes: dict[str, Any] = {
        name.lower().removeprefix("ce-"): unquote(value) for name, value in headers.items() if name[:3].lower() == "ce-"
    }
    broken = [name for name, value in attributes.items() if NO_UTF8.search(value)]
    if broken:
        return InvalidEvent([(name, "must be UTF-8, percent-encoded") for name in broken])
    if media and media != JSON[0]:
        attributes["datacontenttype"] = media
    return _mapped(attributes | _data(media, body))


def _from_structured(raw: Any) -> Mapped | InvalidEvent:
    if not isinstance(raw, dict):
        return InvalidEvent([("", "a CloudEvent must be a JSON object")])
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
    faults = [("specversion", f"must be {VERSION}")] if attributes.get("specversion") != VERSION else []
    for name in ("id", "source", "type"):
        given = attributes.get(name)
        if not isinstance(given, str) or not 1 <= len(given) <= KEY_CHARACTERS:
            faults.append((name, f"must be a non-empty string of at most {KEY_CHARACTERS} characters"))
    return faults


def _user(attributes: Mapping[str, Any]) -> Any:
    data = attributes.get("data")
    of_data = data.get("userId") if isinstance(data, dict) else None
    return of_data or attributes.get("userid") or attributes.get("subject") or attributes["source"]
