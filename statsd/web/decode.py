"""From bytes to events. The fast path is one typed pass; only if it fails, a slower one collects every fault.

A fault names the field and says what would be right. It never repeats the client's value.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec

from statsd.errors import BadRequest, InvalidEvent
from statsd.web.fast import BROKEN, Fast, meta_of, parts_of
from statsd.web.texts import NOT_BLANK_NO_CONTROLS, PRINTABLE, Form, form_of
from statsd.web.times import DATE_TIME, INSTANT_RULE, instant

EVENT_BYTES = 1 << 20
BATCH_EVENTS = 10_000
SLICE_EVENTS = 250  # decoded at a time: a millisecond, and three if one of them is wrong
UUID_CHARACTERS = 36  # with dashes
BOM = "\ufeff".encode()  # which Windows programs write before UTF-8; a reader may ignore it (RFC 8259 §8.1)

E = TypeVar("E", bound=msgspec.Struct)
T = TypeVar("T")
R = TypeVar("R")

# `float_hook`, here and below: msgspec's own parser takes up to 40 µs for a number near the ends of the range (1e308),
# so megabytes of them block the server for half a minute. Python's `float` takes half a microsecond at most.
_ANY = msgspec.json.Decoder(float_hook=float)
_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])

When = Annotated[datetime, msgspec.Meta(description=INSTANT_RULE, extra_json_schema=DATE_TIME)]


def text(longest: int, form: Form | None = None) -> msgspec.Meta:
    """Return the constraint of a text of 1 to `longest` characters, not blank, without control characters.

    It is stored in a form, by default in Normalization Form C.
    """
    about = f"a non-empty string of at most {longest} characters without control characters"
    form = form or form_of(NOT_BLANK_NO_CONTROLS)
    return msgspec.Meta(max_length=longest, pattern=NOT_BLANK_NO_CONTROLS, description=about, extra={"form": form})


def label(longest: int) -> msgspec.Meta:
    """Return the constraint of a name that people compare by eye: a text without invisible characters."""
    about = f"a non-empty string of at most {longest} characters without control or invisible characters"
    return msgspec.Meta(max_length=longest, pattern=PRINTABLE, description=about)


def whole(value: Any) -> Any:
    """Return a number without a fraction as an integer, as JSON Schema has it (`1800.0`); any other value as is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse(body: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8. A number out of a double's range is infinite. Raises InvalidEvent."""
    try:
        return _ANY.decode(body.removeprefix(BOM) if isinstance(body, bytes) else body.removeprefix(BOM.decode()))
    except RecursionError as error:
        raise InvalidEvent(["the body must not be nested deeper than 500 levels"]) from error
    except msgspec.ValidationError as error:  # without a type this is the only constraint
        raise InvalidEvent(["the body must not hold an integer of more than 4,300 digits"]) from error
    except BROKEN as error:
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

    Events come from clients, unless `is_stored`: then their texts are left as they are, but for control characters.
    """

    def __init__(
        self,
        event: type[E],
        check: Callable[[E], Sequence[Any]],
        explain: Callable[[str, Any], Any] = lambda name, value: None,
        *,
        is_stored: bool = False,
    ) -> None:
        self._check = check
        self._explain = explain
        self._fields = msgspec.structs.fields(event)
        self._fast = Fast(event, is_stored)
        self._event = self._fast.event
        self._kinds = {field.name: field.type for field in msgspec.structs.fields(self._event)}

    def decode(self, body: bytes, lines: bool = False) -> E | Batch[E]:
        """Return the event; for an array, or for one event per line, a batch of events or their faults.

        Raises InvalidEvent for a single wrong event or a body that is not JSON, BadRequest (413) for a single event
        over a mebibyte or more than 10,000 events.
        """
        if body[:1] != b"{":  # with which most bodies begin
            body = body.removeprefix(BOM)
            if not lines and body.lstrip()[:1] == b"[":
                return self._open_array(body)
        if lines:
            return self._open_lines(body)
        event = self._fast.decode(single(body), self._fast.one)
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
                values[field.name] = self._convert(field, value.get(field.name))
            except (ValueError, *BROKEN):
                faults.append(self._explain(field.name, value.get(field.name)) or _fault(field, value.get(field.name)))
        faults += self._unknown_fields(value)
        return InvalidEvent(faults) if faults else self._checked(self._event(**values))

    def _convert(self, field: msgspec.structs.FieldInfo, value: Any) -> Any:
        parts = parts_of(field.type)
        if int in parts:
            value = whole(value)
        if isinstance(value, str):
            if datetime in parts:
                return instant(value)
            if UUID in parts and len(value) != UUID_CHARACTERS:
                raise ValueError("an id without dashes")
            if field.name in self._fast.forms:
                value = self._fast.forms[field.name][0](value)
        return msgspec.convert(value, self._kinds[field.name])

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
        except BROKEN:  # so does `parse`, and says why
            return Batch(parse(body), lambda values: [self.convert(value) for value in values])

    def _decode_elements(self, elements: Sequence[msgspec.Raw]) -> list[E | InvalidEvent]:
        return self._decode_valid(elements) or [self.convert(parse(bytes(element))) for element in elements]

    def _open_lines(self, body: bytes) -> Batch[E]:
        try:
            return Batch(_RAW.decode_lines(body), self._decode_lines)
        except BROKEN:
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
        events = self._fast.decode(b"[%b]" % b",".join(elements), self._fast.many)
        return [self._checked(event) for event in events or ()]

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


def _fault(field: msgspec.structs.FieldInfo, value: Any) -> str:
    required = "is required and " if value is None else ""
    return f"{field.name} {required}must be {_about(field.type)}"


def _about(kind: Any) -> str:
    """Return the description in the type's Meta, at any depth."""
    return str(getattr(meta_of(kind), "description", ""))


def raised(outcome: T | InvalidEvent) -> T:
    """Return an event. Raises an InvalidEvent."""
    if isinstance(outcome, InvalidEvent):
        raise outcome
    return outcome
