"""Bytes to events. The fast path is one typed pass; only when that fails a slower one collects every fault.

A fault names the field and says what would be right; it never repeats what the client sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from statsd.errors import BadRequest, InvalidEvent

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
FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(2100, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)

E = TypeVar("E", bound=msgspec.Struct)
_BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError)

# Here and below: msgspec's own way to a double takes up to 40 µs where it is near an end of the range (1e308), and
# megabytes of them stop the server for half a minute. Python's `float` takes half a microsecond at most.
_ANY = msgspec.json.Decoder(float_hook=float)

_LONG_FRACTION = re.compile(rb":\d\d:\d\d[.,]\d{10}")  # msgspec reads them; what holds one goes the slow way
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not where the backslash is a letter itself

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)


def text(longest: int) -> msgspec.Meta:
    """Return the rule of a text of 1 to `longest` characters that is not blank and has no control characters."""
    about = f"a non-empty string of at most {longest} characters without control characters"
    return msgspec.Meta(max_length=longest, pattern=NOT_BLANK_NO_CONTROLS, description=about)


def instant(given: str) -> datetime:
    """Return the UTC time of an ISO 8601 / RFC 3339 text; without a zone it is UTC, without a time midnight.

    Raises ValueError for days that no calendar has, offsets over 14 hours, and years outside 1970 to 2099.
    """
    match = _INSTANT.fullmatch(given)
    if match is None:
        raise ValueError("not an ISO 8601 instant")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    leap, second = divmod(second, 60)  # 23:59:60 is the leap second; it folds forward
    if leap and (hour, minute, second) != (23, 59, 0):
        raise ValueError("no such second")
    fraction = int((match[7] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(match[10] or 0), minutes=int(match[11] or 0))
    if offset > timedelta(hours=14):
        raise ValueError("no such offset")
    zone = timezone(-offset if match[9] == "-" else offset)
    return utc(datetime(year, month, day, hour, minute, second or 59 * leap, fraction, zone) + timedelta(seconds=leap))


def calendar_day(given: str) -> date:
    """Return the day that `given` writes as YYYY-MM-DD. Raises ValueError that says what it must be."""
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", given, re.ASCII):
            raise ValueError
        day = date.fromisoformat(given)
    except ValueError:
        raise ValueError("must be in YYYY-MM-DD format") from None
    if not 1970 <= day.year < 2100:
        raise ValueError("must be a day from 1970 to 2099")
    return day


def utc(when: datetime) -> datetime:
    """Return an instant in UTC (naive: it is UTC already). Raises ValueError outside 1970 to 2099."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    if not FIRST_INSTANT <= aware <= LAST_INSTANT:
        raise ValueError("outside 1970 to 2099")
    return aware.astimezone(UTC)


def iso(when: datetime) -> str:
    """Return an instant as `2026-11-21T10:30:00.000Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(json: str) -> bytes:
    """Return JSON without the spaces PostgreSQL writes."""
    return msgspec.json.format(json.encode(), indent=-1)


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


def exceeded(value: dict[str, Any], *, size: int, depth: int, nodes: int) -> str | None:
    """Return what a JSON object must be and is not: of so many bytes as compact JSON, levels, values, without NUL.

    The bytes are those that PostgreSQL gives back: it knows no exponents, and writes 1e308 with 309 digits. The few
    numbers that are shorter so count as they were sent.
    """
    level: list[Any] = [value]
    floats: list[float] = []
    levels = seen = 0
    while level:
        levels, seen = levels + 1, seen + len(level)
        if levels > depth or seen > nodes:
            return f"must be at most {depth} levels deep and have at most {nodes} values"
        floats += [one for one in level if type(one) is float]
        insides = [one.values() if type(one) is dict else one for one in level if type(one) in (dict, list)]
        level = [*chain.from_iterable(insides)]
    if not all(map(math.isfinite, floats)):
        return "must not hold numbers beyond 1.7976931348623157e308"
    written = msgspec.json.encode(value)
    if b"\\u0000" in written and _NUL.search(written):
        return "must not hold the character NUL"
    room = size - len(written)
    if _exponents(floats, room) > room:
        return f"must have at most {size} bytes as compact JSON, numbers written without exponents"
    return None


def _exponents(floats: Sequence[float], enough: int) -> int:
    """How many bytes longer numbers are without exponents; the rest is not counted once it is more than `enough`."""
    longer = 0
    written = msgspec.json.encode(floats).decode()
    for short in written[1:-1].split(",") if "e" in written else ():
        if "e" in short:
            longer += max(0, len(format(Decimal(short), "f")) - len(short))
        if longer > enough:
            break
    return longer


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
            return _raised(self._checked(decoded))
        raw = parse(body)
        if isinstance(raw, list):
            return [self._explained(one) for one in bounded(raw)]
        return _raised(self._explained(raw))

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


def _raised(outcome: E | InvalidEvent) -> E:
    if isinstance(outcome, InvalidEvent):
        raise outcome
    return outcome
