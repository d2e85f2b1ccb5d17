"""Where a sender's deliveries have their type, user, time and id.

A field has alternatives, of which the first that fits is taken. Each is a dotted path into the body (`data.user.id`,
`items.0.name`), a header (`header:X-GitHub-Event`), or several of them joined by `+`: their texts are joined by full
stops. The first of those must be there, the others may be missing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from statsd.streams.webhooks.event import TYPE_CHARACTERS, USER_CHARACTERS
from statsd.web.texts import NOT_BLANK_NO_CONTROLS, PRINTABLE, Form, form_of
from statsd.web.times import FIRST_INSTANT, LAST_INSTANT, instant

ID_CHARACTERS = 1_000
IN_HEADER = "header:"
FIRST_MILLISECONDS = 100_000_000_000  # in 1973 as milliseconds, in 5138 as seconds
# Of a fraction, nine digits count: milliseconds then have all those of a microsecond. The others are cut.
_NUMBER = re.compile(r"(\d{9,13}(?:\.\d{1,9})?)((?<=\.\d{9})\d{1,991})?", re.ASCII)
_type, _user = form_of(PRINTABLE), form_of(NOT_BLANK_NO_CONTROLS)
"""The forms in which the two are stored, as in our own form of an event."""

Headers = Mapping[str, str]


class Found(NamedTuple):
    """A value, and the alternative that has it."""

    path: str
    value: Any


class Id(NamedTuple):
    """An id that a sender gave; `is_shared` by all events of a delivery, because it stands in a header."""

    text: str
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The alternatives for each field."""

    type: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    id: tuple[str, ...] = ()

    @property
    def headers(self) -> list[str]:
        """The headers that have fields."""
        paths = [path for paths in (self.type, self.user, self.time, self.id) for path in paths]
        parts = [part for path in paths for part in path.split("+")]
        return list(dict.fromkeys(part.removeprefix(IN_HEADER) for part in parts if part.startswith(IN_HEADER)))

    def types(self, body: Any, headers: Headers) -> list[Found]:
        """Return all texts of the type."""
        return [found for found in _values(self.type, body, headers) if isinstance(found.value, str)]

    def event_type(self, body: Any, headers: Headers) -> str | None:
        """Return the first text that may be an eventType."""
        texts = (_stored(found.value, _type, TYPE_CHARACTERS) for found in self.types(body, headers))
        return next(filter(None, texts), None)

    def user_id(self, body: Any, headers: Headers) -> str | None:
        """Return the first text or number that may be a userId, as a text."""
        texts = (_text(found.value) for found in _values(self.user, body, headers))
        return next(filter(None, (_stored(text, _user, USER_CHARACTERS) for text in texts if text)), None)

    def timestamp(self, body: Any, headers: Headers) -> Found | None:
        """Return the first value that is there, whether or not it is a time."""
        return next(_values(self.time, body, headers), None)

    def event_id(self, body: Any, headers: Headers) -> Id | None:
        """Return the first text of at most 1,000 characters."""
        for found in _values(self.id, body, headers):
            text = _text(found.value)
            if text and len(text) <= ID_CHARACTERS:
                return Id(text, IN_HEADER in found.path)
        return None


def moment(value: Any) -> datetime:
    """Return the UTC time of an ISO 8601 text, or of seconds or milliseconds since 1970 as a number or in a text.

    It is exact to the microsecond. Raises ValueError for anything else, and outside 1970 to 2099.
    """
    if isinstance(value, str):
        number = _NUMBER.fullmatch(value)
        if not number:
            return instant(value)
        value = number[1]
    if type(value) not in (int, float, str):
        raise ValueError("not a time")
    seconds = Decimal(str(value))  # of a float, the digits that were sent
    if seconds >= FIRST_MILLISECONDS:
        seconds /= 1000
    if not 0 <= seconds < (LAST_INSTANT - FIRST_INSTANT).total_seconds():
        raise ValueError("outside 1970 to 2099")
    return FIRST_INSTANT + timedelta(microseconds=int(seconds * 1_000_000))


def _stored(text: str, form: Form, longest: int) -> str | None:
    """Return a text in its form; None if it may not be a field of at most `longest` characters."""
    with suppress(ValueError):
        formed = form(text)
        return formed if len(formed) <= longest else None
    return None


def _values(paths: Sequence[str], body: Any, headers: Headers) -> Iterator[Found]:
    """Yield each alternative that is there."""
    for path in paths:
        first, *others = _parts(path)
        value = _value(first, body, headers)
        if value is not None and others:
            texts = [_text(part) for part in (value, *(_value(other, body, headers) for other in others))]
            value = ".".join(filter(None, texts)) if texts[0] else None
        if value is not None and value != "":
            yield Found(path, value)


@cache
def _parts(path: str) -> list[str | tuple[str, ...]]:
    """Return each part of a path: the name of a header, or the steps into the body."""
    return [
        part.removeprefix(IN_HEADER) if part.startswith(IN_HEADER) else tuple(part.split("."))
        for part in path.split("+")
    ]


def _value(part: str | tuple[str, ...], body: Any, headers: Headers) -> Any:
    if isinstance(part, str):
        return _utf8(headers.get(part))
    value = body
    for step in part:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and re.fullmatch(r"\d{1,4}", step, re.ASCII) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _text(value: Any) -> str | None:
    """Return a text or a number as a text; None for other values."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) in (int, float) else None


def _utf8(header: str | None) -> str | None:
    """Return the value of a header; None for one with bytes that are not UTF-8, which aiohttp keeps as surrogates."""
    try:
        return header.encode().decode() if header is not None else None
    except UnicodeEncodeError:
        return None
