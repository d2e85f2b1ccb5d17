"""Bytes to events. The fast path is one typed pass; only when that fails a slower one collects every fault.

A fault names the field and says what would be right; it never repeats what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from statsd.errors import BadRequest, InvalidEvent
from statsd.web.times import instant

EVENT_BYTES = 1 << 20
BATCH_EVENTS = 10_000
UUID_CHARACTERS = 36  # with dashes, as in paths
NO_CONTROLS = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
NOT_BLANK_NO_CONTROLS = r"\A(?!\s*\Z)" + NO_CONTROLS
# Names that people tell apart by sight: nothing that has no width or turns the text around; joiners only beside others.
PRINTABLE = (
    r"\A(?![\s\u200c\u200d]*\Z)"
    r"[^\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]*\Z"
)

E = TypeVar("E", bound=msgspec.Struct)
T = TypeVar("T")
_BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError)

# Here and below: msgspec's own way to a double takes up to 40 µs where it is near an end of the range (1e308), and
# megabytes of them stop the server for half a minute. Python's `float` takes half a microsecond at most.
_ANY = msgspec.json.Decoder(float_hook=float)

_LONG_FRACTION = re.compile(rb":\d\d:\d\d[.,]\d{10}")  # msgspec reads them; what holds one goes the slow way


def text(longest: int) -> msgspec.Meta:
    """Return the rule of a text of 1 to `longest` characters that is not blank and has no control characters."""
    about = f"a non-empty string of at most {longest} characters without control characters"
    return msgspec.Meta(max_length=longest, pattern=NOT_BLANK_NO_CONTROLS, description=about)


def parse(body: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8; numbers beyond a double's range are infinite. Raises InvalidEvent."""
    try:
        return _ANY.decode(body)
    except RecursionError as error:
        raise InvalidEvent(["the body must not be nested deeper than 500 levels"]) from error
    except msgspec.ValidationError as error:  # no type was asked for: it can be nothing else
        raise InvalidEvent(["the body must not hold an integer of more than 4,300 digits"]) from error
    except _BROKEN as error:
        raise InvalidEvent(["the body must be valid JSON in UTF-8"]) from error


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds. Raises InvalidEvent for everything else."""
    raw = parse(body)
    if not isinstance(raw, dict):
        raise InvalidEvent(["the body must be a JSON object"])
    return raw


def bounded(events: list[Any]) -> list[Any]:
    """Return the events of a batch. Raises BadRequest (413) for more than 10,000."""
    if len(events) > BATCH_EVENTS:
        raise BadRequest(413, f"a batch must not hold more than {BATCH_EVENTS} events (got {len(events)})")
    return events


def single(body: bytes) -> bytes:
    """Return the body of one event. Raises BadRequest (413) for more than a mebibyte."""
    if len(body) > EVENT_BYTES:
        raise BadRequest(413, f"one event must not be larger than {EVENT_BYTES} bytes")
    return body


class Decoder(Generic[E]):
    """Decodes one event or many. `check` returns what is wrong with an event as a whole, in sentences.

    `explain` may have a wording of its own for a field: it gets its name and what the client sent. A fault is a
    sentence, or what the stream's envelope takes for one.
    """

    def __init__(
        self,
        event: type[E],
        check: Callable[[E], Sequence[Any]],
        explain: Callable[[str, Any], Any] = lambda name, given: None,
    ) -> None:
        self._event = event
        self._check = check
        self._explain = explain
        self._fields = msgspec.structs.fields(event)
        self._has_ids = any(UUID in _parts(field.type) for field in self._fields)
        self._one = msgspec.json.Decoder(event, float_hook=float)
        self._many = msgspec.json.Decoder(list[event], float_hook=float)  # type: ignore[valid-type]

    def decode(self, body: bytes, lines: bool = False) -> E | list[E | InvalidEvent]:
        """Return the event; for an array, or one event a line, the event or its faults at each index.

        Raises InvalidEvent for one event that is wrong or a body that is not JSON, BadRequest (413) for one event
        over a mebibyte or an array of more than 10,000.
        """
        if lines:
            return self._decode_lines(body)
        many = body.lstrip()[:1] == b"["
        decoded = self._fast(body if many else single(body), many)
        if isinstance(decoded, list):
            return [self._checked(one) for one in bounded(decoded)]
        if decoded is not None:
            return raised(self._checked(decoded))
        raw = parse(body)
        if isinstance(raw, list):
            return [self._explained(one) for one in bounded(raw)]
        return raised(self._explained(raw))

    def convert(self, raw: Any) -> E | InvalidEvent:
        """Return the event that a decoded JSON value is, or its faults."""
        return self._explained(raw)

    def _fast(self, body: bytes, many: bool) -> E | list[E] | None:
        """Return what one typed pass reads; None where it fails, or might read what we refuse."""
        if self._reads_too_much(body):
            return None
        try:
            return self._many.decode(body) if many else self._one.decode(body)
        except _BROKEN:
            return None

    def _reads_too_much(self, body: bytes) -> bool:
        """Whether a typed pass may take what is none of ours: long fractions of seconds, ids without dashes."""
        return self._has_ids or _LONG_FRACTION.search(body) is not None

    def _decode_lines(self, body: bytes) -> list[E | InvalidEvent]:
        try:
            if not self._reads_too_much(body):
                return [self._checked(one) for one in bounded(self._one.decode_lines(body))]
        except _BROKEN:
            pass
        return [self._decode_line(line) for line in bounded([line for line in body.split(b"\n") if line.strip()])]

    def _decode_line(self, line: bytes) -> E | InvalidEvent:
        try:
            return self._explained(parse(line))
        except InvalidEvent as broken:
            return broken

    def _checked(self, event: E) -> E | InvalidEvent:
        """Return the event, or what is wrong with it as a whole."""
        faults = self._check(event)
        return InvalidEvent(faults) if faults else event

    def _explained(self, raw: Any) -> E | InvalidEvent:
        """Convert field by field. An event whose instants only the wider grammar reads turns out to be right here."""
        if not isinstance(raw, dict):
            return InvalidEvent(["an event must be a JSON object"])
        values, faults = {}, []
        for field in self._fields:
            if raw.get(field.name) is None and not field.required:
                continue
            try:
                values[field.name] = _convert(raw.get(field.name), field.type)
            except (ValueError, *_BROKEN):
                faults.append(self._explain(field.name, raw.get(field.name)) or _fault(field, raw.get(field.name)))
        known = self._event.__struct_fields__
        unknown = [name for name in raw if name not in known]
        if unknown and self._event.__struct_config__.forbid_unknown_fields:
            explained = [self._explain(name, ...) for name in unknown]
            faults += explained if all(explained) else [f"there must be nothing but {', '.join(known)}"]
        return InvalidEvent(faults) if faults else self._checked(self._event(**values))


class Single(Generic[E]):
    """Decodes a body that must be one JSON object."""

    def __init__(self, event: type[E]) -> None:
        self._decoder = Decoder(event, lambda _: [])

    def decode(self, body: bytes, lines: bool = False) -> E:
        """Return the object. Raises InvalidEvent for everything else; `lines` make no difference."""
        decoded = self._decoder.decode(body)
        if isinstance(decoded, list):
            raise InvalidEvent(["the body must be one JSON object"])
        return decoded


def _fault(field: msgspec.structs.FieldInfo, given: Any) -> str:
    required = "is required and " if given is None else ""
    return f"{field.name} {required}must be {_about(field.type)}"


def _convert(raw: Any, kind: Any) -> Any:
    if isinstance(raw, str) and datetime in _parts(kind):
        return instant(raw)
    if isinstance(raw, str) and UUID in _parts(kind) and len(raw) != UUID_CHARACTERS:
        raise ValueError("an id without dashes")
    return msgspec.convert(raw, kind)


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of an optional or annotated type, flat."""
    inner = get_args(kind)
    return (kind,) if not inner else tuple(part for one in inner for part in _parts(one))


def _about(kind: Any) -> str:
    """The description in the type's Meta, wherever it stands in it."""
    if get_origin(kind) is Annotated:
        return str(next(part.description for part in get_args(kind) if isinstance(part, msgspec.Meta)))
    return next((about for part in get_args(kind) if (about := _about(part))), "")


def raised(outcome: T | InvalidEvent) -> T:
    """Return an event. Raises it where it is its faults."""
    if isinstance(outcome, InvalidEvent):
        raise outcome
    return outcome
