"""The data of a CloudEvent, in one form whichever mode it came in.

It is a JSON value where its media type says JSON, else the text of its bytes in the declared charset, else base64.
"""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from statsd.errors import InvalidEvent
from statsd.streams.webhooks.answers import Fault
from statsd.web.decode import parse

MEMBERS = ("data", "data_base64")
"""The members of the JSON format that hold data; they are no attributes."""

ENCODINGS = {"iso-8859-1": "latin-1", "iso-8859-15": "iso8859-15", "windows-1252": "cp1252"} | {
    name: name for name in ("utf-16", "utf-16be", "utf-16le")
}
"""The charsets that texts are read in, beside UTF-8. No other name reaches Python, which remembers all it is asked."""

BASE64 = r"\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z"
_is_base64 = re.compile(BASE64).search
_charset = re.compile(r';[ \t]*charset="?([^\s";]+)', re.IGNORECASE).search


def of_members(members: Mapping[str, Any], media: str) -> tuple[dict[str, Any], list[Fault]]:
    """Return the data of a CloudEvent in JSON as the member that it is kept under, and its faults.

    `media` is its media type. Without data there is no member.
    """
    content = members.get("data_base64")
    if content is None:
        return _of_value(members.get("data"), media), []
    if "data" in members:
        return {}, [Fault.of("data_base64", "object.nand", "must not stand beside data")]
    if not (isinstance(content, str) and _is_base64(content)):
        return {}, [Fault.of("data_base64", "string.base64", "must be base64 (RFC 4648)")]
    return of_bytes(base64.b64decode(content), media), []


def _of_value(value: Any, media: str) -> dict[str, Any]:
    if value is None:
        return {}
    return {"data": value} if is_json(media) or not isinstance(value, str) else _of_text(value, _encoding(media))


def of_bytes(content: bytes, media: str) -> dict[str, Any]:
    """Return the data that these bytes are. Broken JSON is kept as a text."""
    encoding = _encoding(media)
    try:
        text = content.decode(encoding)
    except UnicodeError:
        return _in_base64(content)
    if is_json(media) and text:
        with suppress(InvalidEvent):
            return _of_value(parse(text), media)
    return _of_text(text, encoding)


def _of_text(text: str, encoding: str) -> dict[str, Any]:
    """Return a text as data: none if it is empty, as a body without bytes is. PostgreSQL has no text with NUL."""
    if "\0" in text:
        return _in_base64(text.encode(encoding, "replace"))
    return {"data": text} if text else {}


def _in_base64(content: bytes) -> dict[str, Any]:
    return {"data_base64": base64.b64encode(content).decode()}


def is_json(media: str) -> bool:
    """Whether a media type says that the data is JSON: `*/json` or `*/*+json`, whatever its parameters."""
    return media.partition(";")[0].rstrip().lower().endswith(("/json", "+json"))


def charset(media: str) -> str:
    """Return the charset of a media type in lower case; UTF-8 without one."""
    match = _charset(media)
    return match[1].lower() if match else "utf-8"


def _encoding(media: str) -> str:
    return ENCODINGS.get(charset(media), "utf-8")
