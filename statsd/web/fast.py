"""The fast path: events from bytes in one typed pass of msgspec, for as long as it says what the slow path would say.

msgspec differs from our grammar in two ways. It rounds the seventh digit of a fraction of a second, which
`times.instant` cuts; so where a body may have such a fraction, times are decoded as texts and read by `instant`. And it
accepts ids without dashes; events with ids take the slow path. The texts of a body of printable ASCII need no check.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from statsd.web.paths import page
from statsd.web.texts import PATTERNS, Form, as_stored, form_of
from statsd.web.times import instant

E = TypeVar("E", bound=msgspec.Struct)
T = TypeVar("T")
Decoders = tuple[msgspec.json.Decoder[T], msgspec.json.Decoder[T]]
"""The usual one, and that for times which msgspec would round: they are texts still."""
BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError)

# What makes a body odd. These searches are fast as they begin with a dot, or with a backslash.
_LONG_FRACTION = re.compile(rb"\.(?<=:\d\d:\d\d\.)\d{7}")
_LONG_FRACTION_OR_DOT_SEGMENT = re.compile(rb"\.(?:(?<=:\d\d:\d\d\.)\d{7}|(?<=/\.))")
_ESCAPED_DIGIT_COLON_OR_DOT = re.compile(rb"\\u00(?:3[0-9aA]|2[eE])")


class Fast(Generic[E]):
    """The fast path of one kind of event."""

    def __init__(self, event: type[E], is_stored: bool = False) -> None:
        fields = msgspec.structs.fields(event)
        self._has_ids = any(UUID in parts_of(field.type) for field in fields)
        self._times = [field.name for field in fields if datetime in parts_of(field.type)]
        self.forms = {field.name: form for field in fields if (form := _form(meta_of(field.type), is_stored))}
        """The form of each text, and the most characters that it may have."""
        self._paths = {name: form for name, form in self.forms.items() if form[0] is page}
        self._find_odd = (_LONG_FRACTION_OR_DOT_SEGMENT if self._paths else _LONG_FRACTION).search
        self.event = _changed(event, _without_pattern) if self.forms else event
        """A kind of the event whose texts match no pattern: they are only as short and as long as allowed."""
        with_text_times = _changed(self.event, _as_text) if self._times else self.event
        self.one = (_decoder(self.event), _decoder(with_text_times))
        self.many = (_decoder(list[self.event]), _decoder(list[with_text_times]))  # type: ignore[name-defined, valid-type]

    def decode(self, body: bytes, decoders: Decoders[T]) -> T | None:
        """Return the event in a body, or the events in an array; None if only the slow path can say what it holds.

        The decoders are `one` or `many`.
        """
        if self._has_ids:
            return None
        is_plain = _is_plain(body)
        has_escapes = self._times and not is_plain
        is_odd = self._find_odd(body) or (has_escapes and _ESCAPED_DIGIT_COLON_OR_DOT.search(body))
        try:
            decoded = decoders[bool(is_odd)].decode(body)
            if is_plain and not is_odd and not (self._paths and b"%" in body):
                return decoded
            finished: T = self._finished(decoded, self._paths if is_plain else self.forms, bool(is_odd and self._times))
            return finished
        except (ValueError, *BROKEN):
            return None

    def _finished(self, decoded: Any, forms: Mapping[str, tuple[Form, int]], has_text_times: bool) -> Any:
        """Return events with their texts in their forms and their times read. Raises ValueError if one is wrong."""
        is_one = not isinstance(decoded, list)
        events = [decoded] if is_one else decoded
        if has_text_times:
            events = [*map(self._timed, events)]
        for name, (form, longest) in forms.items():
            for event in events:
                text = getattr(event, name)
                if text is not None and (formed := form(text)) is not text:
                    if len(formed) > longest:
                        raise ValueError("longer than it may be, once it has its form")
                    msgspec.structs.force_setattr(event, name, formed)
        return events[0] if is_one else events

    def _timed(self, event: E) -> E:
        values = msgspec.structs.asdict(event)
        for name in self._times:
            if values[name] is not None:
                values[name] = instant(values[name])
        return self.event(**values)


def _is_plain(body: bytes) -> bool:
    """Whether the texts in a JSON body are printable ASCII, none beginning with a space: then all match our patterns.

    Of the control characters, JSON allows only DEL unescaped.
    """
    is_ascii = body.isascii() and b"\\" not in body and b"\x7f" not in body
    return is_ascii and not (b" " in body and b'" ' in body)


def _form(meta: msgspec.Meta | None, is_stored: bool) -> tuple[Form, int] | None:
    """Return the form of a text, and the most characters it may have; None for other fields."""
    if not meta or not meta.pattern:
        return None
    assert meta.max_length
    form = as_stored if is_stored else (meta.extra or {}).get("form") or form_of(meta.pattern)
    return form, meta.max_length


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    # msgspec's own parser takes up to 40 µs for a number near the ends of the range (1e308), so megabytes of them block
    # the server for half a minute. Python's `float` takes half a microsecond at most.
    return msgspec.json.Decoder(kind, float_hook=float)


def _changed(event: type[E], change: Callable[[Any], Any]) -> type[E]:
    """Return a kind of the event in which `change` gives fields another type; None leaves a field as it is."""
    fields = [
        (field.name, kind, msgspec.field(default=field.default))
        for field in msgspec.structs.fields(event)
        if (kind := change(field.type))
    ]
    return msgspec.defstruct(event.__name__, fields, bases=(event,), frozen=True, kw_only=True)  # type: ignore[return-value]


def _without_pattern(kind: Any) -> Any:
    meta = meta_of(kind)
    if not meta or not meta.pattern:
        return None
    assert meta.pattern in PATTERNS
    shortest = meta.min_length or int(not re.search(meta.pattern, ""))
    text = Annotated[str, msgspec.Meta(min_length=shortest, max_length=meta.max_length)]
    return text | None if NoneType in get_args(kind) else text


def _as_text(kind: Any) -> Any:
    if datetime not in parts_of(kind):
        return None
    return str | None if NoneType in get_args(kind) else str


def parts_of(kind: Any) -> tuple[Any, ...]:
    """Return the innermost types of an optional or annotated type."""
    members = get_args(kind)
    return (kind,) if not members else tuple(part for member in members for part in parts_of(member))


def meta_of(kind: Any) -> msgspec.Meta | None:
    """Return the Meta of an optional or annotated type."""
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return next((part for part in parts if isinstance(part, msgspec.Meta)), None)
    return next((meta for part in parts if (meta := meta_of(part))), None)
