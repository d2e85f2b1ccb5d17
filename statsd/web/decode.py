"""From bytes to events. The fast path is one typed pass; only if it fails, a slower one collects every fault.

A fault names the field and says what would be right. It never repeats the client's value.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from statsd.errors import BadRequest, InvalidEvent
from statsd.web.times import DATE_TIME, INSTANT_RULE, instant

EVENT_BYTES = 1 << 20
BATCH_EVENTS = 10_000
SLICE_EVENTS = 250  # decoded at a time: a millisecond, and three if one of them is wrong
UUID_CHARACTERS = 36  # with dashes
NO_CONTROLS = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
NOT_BLANK_NO_CONTROLS = r"\A(?!\s*\Z)" + NO_CONTROLS
# For names that people compare by eye: no invisible characters, none that change the direction of text, no joiners
# (U+200C, U+200D) alone.
PRINTABLE = (
    r"\A(?![\s\u200c\u200d]*\Z)"
    r"[^\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]*\Z"
)

_OF_PLAIN_TEXT = (NO_CONTROLS, NOT_BLANK_NO_CONTROLS, PRINTABLE)
"""The patterns that printable ASCII matches, unless it is blank."""

E = TypeVar("E", bound=msgspec.Struct)
T = TypeVar("T")
R = TypeVar("R")
_BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError)

# `float_hook`, here and below: msgspec's own parser takes up to 40 µs for a number near the ends of the range (1e308),
# so megabytes of them block the server for half a minute. Python's `float` takes half a microsecond at most.
_ANY = msgspec.json.Decoder(float_hook=float)
_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])

# msgspec accepts more than nine digits, our grammar does not. The search is fast as it begins with the dot.
_LONG_FRACTION = re.compile(rb"\.(?<=:\d\d:\d\d\.)\d{10}")

When = Annotated[datetime, msgspec.Meta(description=INSTANT_RULE, extra_json_schema=DATE_TIME)]


def text(longest: int) -> msgspec.Meta:
    """Return the constraint of a text of 1 to `longest` characters, not blank, without control characters."""
    about = f"a non-empty string of at most {longest} characters without control characters"
    return msgspec.Meta(max_length=longest, pattern=NOT_BLANK_NO_CONTROLS, description=about)


def parse(body: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8. A number out of a double's range is infinite. Raises InvalidEvent."""
    try:
        return _ANY.decode(body)
    except RecursionError as error:
        raise InvalidEvent(["the body must not be nested deeper than 500 levels"]) from error
    except msgspec.ValidationError as error:  # without a type this is the only constraint
        raise InvalidEvent(["the body must not hold an integer of more than 4,300 digits"]) from error
    except _BROKEN as error:
        raise InvalidEvent(["the body must be valid JSON in UTF-8"]) from error


def bounded(events: Sequence[T]) -> Sequence[T]:
    """Return the events of a batch as they are. Raises BadRequest (413) for more than 10,000."""
    if len(events) > BATCH_EVENTS:
        raise BadRequest(413, f"a batch must not hold more than {BATCH_EVENTS} events (got {len(events)})")
    return events


def single(body: bytes) -> bytes:
    """Return the body of a single event as it is. Raises BadRequest (413) for more than a mebibyte."""
    if len(body) > EVENT_BYTES:
        raise BadRequest(413, f"one event must not be larger than {EVENT_BYTES} bytes")
    return body


class Batch(Generic[T]):
    """The events of a batch, or their faults, in slices. A slice is decoded when it is asked for.

    Iterating raises InvalidEvent if the body is not JSON after all.
    """

    def __init__(
        self,
        parts: Sequence[Any],
        decode: Callable[[Sequence[Any]], list[T | InvalidEvent]],
        *,
        may_be_empty: bool = False,
    ) -> None:
        self._parts = bounded(parts)
        self._decode = decode
        self.may_be_empty = may_be_empty

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[list[T | InvalidEvent]]:
        for start in range(0, len(self), SLICE_EVENTS):
            yield self._decode(self._parts[start : start + SLICE_EVENTS])

    def map(self, change: Callable[[T], R]) -> "Batch[R]":
        """Return the batch with `change` applied to each event."""

        def decode(parts: Sequence[Any]) -> list[R | InvalidEvent]:
            events = self._decode(parts)
            return [event if isinstance(event, InvalidEvent) else change(event) for event in events]

        return Batch(self._parts, decode)


class Decoder(Generic[E]):
    """Decodes one event or many.

    `check` returns the faults of an event as a whole. `explain` may word the fault of a field: it gets the field's name
    and the client's value (`...` for an unknown field). A fault is a sentence, or any value that the stream's envelope
    accepts.
    """

    def __init__(
        self,
        event: type[E],
        check: Callable[[E], Sequence[Any]],
        explain: Callable[[str, Any], Any] = lambda name, value: None,
    ) -> None:
        self._check = check
        self._explain = explain
        self._fields = msgspec.structs.fields(event)
        self._has_ids = any(UUID in _parts(field.type) for field in self._fields)
        patterns = {field.name: meta.pattern for field in self._fields if (meta := _meta(field.type)) and meta.pattern}
        self._searches = [(name, re.compile(pattern).search) for name, pattern in patterns.items()]
        if patterns:
            event = _without_patterns(event)
        self._event = event
        self._single = msgspec.json.Decoder(event, float_hook=float)
        self._array = msgspec.json.Decoder(list[event], float_hook=float)  # type: ignore[valid-type]

    def decode(self, body: bytes, lines: bool = False) -> E | Batch[E]:
        """Return the event; for an array, or for one event per line, a batch of events or their faults.

        Raises InvalidEvent for a single wrong event or a body that is not JSON, BadRequest (413) for a single event
        over a mebibyte or more than 10,000 events.
        """
        if lines:
            return self._open_lines(body)
        if body.lstrip()[:1] == b"[":
            return self._open_array(body)
        event = self._decode_fast(self._single, single(body))
        return raised(self.convert(parse(body)) if event is None else self._checked(event))

    def convert(self, value: Any) -> E | InvalidEvent:
        """Return the event in a JSON value, or its faults.

        The slow path, field by field. It also reads instants that the fast path refuses (`times.instant`).
        """
        if not isinstance(value, dict):
            return InvalidEvent(["an event must be a JSON object"])
        values, faults = {}, []
        for field in self._fields:
            if value.get(field.name) is None and not field.required:
                continue
            try:
                values[field.name] = _convert(value.get(field.name), field.type)
            except (ValueError, *_BROKEN):
                faults.append(self._explain(field.name, value.get(field.name)) or _fault(field, value.get(field.name)))
        faults += self._unknown_fields(value)
        return InvalidEvent(faults) if faults else self._checked(self._event(**values))

    def _unknown_fields(self, value: dict[str, Any]) -> list[Any]:
        known = self._event.__struct_fields__
        unknown = [name for name in value if name not in known]
        if not unknown or not self._event.__struct_config__.forbid_unknown_fields:
            return []
        faults = [self._explain(name, ...) for name in unknown]
        return faults if all(faults) else [f"unknown field; allowed: {', '.join(known)}"]

    def _open_array(self, body: bytes) -> Batch[E]:
        try:
            return Batch(_RAW_ARRAY.decode(body), self._decode_elements)
        except _BROKEN:  # so does `parse`, and says why
            return Batch(parse(body), lambda values: [self.convert(value) for value in values])

    def _decode_elements(self, elements: Sequence[msgspec.Raw]) -> list[E | InvalidEvent]:
        return self._decode_valid(elements) or [self.convert(parse(bytes(element))) for element in elements]

    def _may_keep(self, body: bytes, events: list[Any]) -> bool:
        """Whether the texts of events match their patterns, of which the fast path knows nothing."""
        return _is_plain(body) or all(
            (text := getattr(event, name)) is None or search(text)
            for name, search in self._searches
            for event in events
        )

    def _open_lines(self, body: bytes) -> Batch[E]:
        try:
            return Batch(_RAW.decode_lines(body), self._decode_lines)
        except _BROKEN:
            return Batch([line for line in body.split(b"\n") if line.strip()], self._convert_lines)

    def _decode_lines(self, lines: Sequence[msgspec.Raw]) -> list[E | InvalidEvent]:
        return self._decode_valid(lines) or self._convert_lines(lines)

    def _convert_lines(self, lines: Sequence[msgspec.Raw | bytes]) -> list[E | InvalidEvent]:
        return [self._convert_line(bytes(line)) for line in lines]

    def _convert_line(self, line: bytes) -> E | InvalidEvent:
        try:
            return self.convert(parse(line))
        except InvalidEvent as error:
            return error

    def _decode_valid(self, elements: Sequence[msgspec.Raw]) -> list[E | InvalidEvent]:
        """Return the result of one typed pass over JSON values; nothing if it fails for one of them."""
        events = self._decode_fast(self._array, b"[%b]" % b",".join(elements))
        return [self._checked(event) for event in events or ()]

    def _decode_fast(self, decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
        """Return the result of one typed pass; None if it fails, or might accept a value that we refuse.

        msgspec accepts fractions of more than nine digits and ids without dashes; we do not.
        """
        if self._has_ids or _LONG_FRACTION.search(body):
            return None
        try:
            decoded = decoder.decode(body)
        except _BROKEN:
            return None
        return decoded if self._may_keep(body, decoded if isinstance(decoded, list) else [decoded]) else None

    def _checked(self, event: E) -> E | InvalidEvent:
        """Return the event, or its faults as a whole."""
        faults = self._check(event)
        return InvalidEvent(faults) if faults else event


class Single(Generic[E]):
    """Decodes a body that must be one JSON object."""

    def __init__(self, event: type[E]) -> None:
        self._decoder = Decoder(event, lambda _: [])

    def decode(self, body: bytes, lines: bool = False) -> E:
        """Return the object. Raises InvalidEvent for anything else. `lines` has no effect."""
        decoded = self._decoder.decode(body)
        if isinstance(decoded, Batch):
            raise InvalidEvent(["the body must be one JSON object"])
        return decoded


def _is_plain(body: bytes) -> bool:
    """Whether the texts in a JSON body are printable ASCII, none beginning with a space: then all match our patterns.

    Of the control characters, JSON allows only DEL unescaped.
    """
    is_ascii = body.isascii() and b"\\" not in body and b"\x7f" not in body
    return is_ascii and not (b" " in body and b'" ' in body)


def _without_patterns(event: type[E]) -> type[E]:
    """Return a kind of the event whose texts match no pattern: they are only as short and as long as allowed."""
    texts = [
        (field.name, _plain(field.type, meta), msgspec.field(default=field.default))
        for field in msgspec.structs.fields(event)
        if (meta := _meta(field.type)) and meta.pattern
    ]
    return msgspec.defstruct(event.__name__, texts, bases=(event,), frozen=True, kw_only=True)  # type: ignore[return-value]


def _plain(kind: Any, meta: msgspec.Meta) -> Any:
    assert meta.pattern in _OF_PLAIN_TEXT
    shortest = meta.min_length or int(not re.search(meta.pattern, ""))
    text = Annotated[str, msgspec.Meta(min_length=shortest, max_length=meta.max_length)]
    return text | None if NoneType in get_args(kind) else text


def _fault(field: msgspec.structs.FieldInfo, value: Any) -> str:
    required = "is required and " if value is None else ""
    return f"{field.name} {required}must be {_about(field.type)}"


def _convert(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and datetime in _parts(kind):
        return instant(value)
    if isinstance(value, str) and UUID in _parts(kind) and len(value) != UUID_CHARACTERS:
        raise ValueError("an id without dashes")
    return msgspec.convert(value, kind)


def _parts(kind: Any) -> tuple[Any, ...]:
    """Return the innermost types of an optional or annotated type."""
    members = get_args(kind)
    return (kind,) if not members else tuple(part for member in members for part in _parts(member))


def _about(kind: Any) -> str:
    """Return the description in the type's Meta, at any depth."""
    return str(getattr(_meta(kind), "description", ""))


def _meta(kind: Any) -> msgspec.Meta | None:
    """Return the Meta of an optional or annotated type."""
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return next((part for part in parts if isinstance(part, msgspec.Meta)), None)
    return next((meta for part in parts if (meta := _meta(part))), None)


def raised(outcome: T | InvalidEvent) -> T:
    """Return an event. Raises an InvalidEvent."""
    if isinstance(outcome, InvalidEvent):
        raise outcome
    return outcome
