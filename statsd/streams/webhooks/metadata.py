"""The limits of an event's metadata: bytes, levels and values."""

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain, islice
from types import NoneType
from typing import Any

import msgspec

MOST_BYTES, MOST_LEVELS, MOST_VALUES = 16 * 1024, 12, 2_000

RULE = f"a JSON object of at most {MOST_BYTES} bytes as compact JSON, {MOST_LEVELS} levels and {MOST_VALUES} values"

MOST_CHARACTERS, MOST_ELEMENTS = 1_000, 20
"""What texts and lists of a delivery keep that exceeds the limits."""
LEFT_OUT = "…"
"""Stands where something was left out."""

_SIMPLE = {str, int, float, bool, NoneType}
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not where the backslash itself is escaped


def fault(metadata: dict[str, Any], most_bytes: int = MOST_BYTES) -> str | None:
    """Return the limit that metadata exceeds, as "must …", or None.

    Bytes are counted as PostgreSQL returns them: it writes numbers without exponents, 1e308 with 309 digits. The few
    numbers that are shorter without an exponent count as they were sent.
    """
    floats = _floats(metadata)
    if floats is None:
        return f"must be at most {MOST_LEVELS} levels deep and have at most {MOST_VALUES} values"
    if not all(map(math.isfinite, floats)):
        return "must not hold numbers beyond 1.7976931348623157e308"
    encoded = msgspec.json.encode(metadata)
    if b"\\u0000" in encoded and _NUL.search(encoded):
        return "must not hold the character NUL"
    free = most_bytes - len(encoded)
    if (_exponent_bytes(floats, free) if floats else 0) > free:
        return f"must have at most {most_bytes} bytes as compact JSON, numbers written without exponents"
    return None


def reduced(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a service's payload as it is, or as much of it as the limits of metadata allow.

    What is too large keeps 1,000 characters of each text and 20 elements of each list. If it is still too large, it
    loses its deepest levels, as many as needed, and at last its last fields. `…` stands where something was left out.
    NUL becomes U+FFFD, and a number beyond a double's range null.
    """
    if not fault(payload):
        return payload
    for levels in range(_levels(payload), 0, -1):
        kept: dict[str, Any] = _shallow(payload, levels)
        if not fault(kept):
            return kept
    while fault(kept):
        kept = dict(list(kept.items())[: len(kept) // 2])
    return kept


def _levels(payload: dict[str, Any]) -> int:
    """Return how many levels of a payload hold few enough values, at least one."""
    level: list[Any] = [payload]
    levels = values = 0
    while level and levels < MOST_LEVELS - 1:
        children = chain.from_iterable(_parts(value) for value in level)
        level = list(islice(children, MOST_VALUES))
        values += len(level)
        if values >= MOST_VALUES:
            break
        levels += 1
        level = [value for value in level if type(value) in (dict, list)]
    return max(1, levels)


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if type(value) is dict else value[:MOST_ELEMENTS]


def _shallow(value: Any, levels: int) -> Any:
    """Return a value of at most `levels` levels of objects and lists, with short texts and lists."""
    match value:
        case str():
            text = value.replace("\0", "\ufffd")
            return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}{LEFT_OUT}"
        case float():
            return value if math.isfinite(value) else None
        case dict() | list() if value and not levels:
            return LEFT_OUT
        case dict():
            fields = islice(value.items(), MOST_VALUES)
            return {_shallow(name, 0): _shallow(part, levels - 1) for name, part in fields}
        case list():
            more = [LEFT_OUT] * (len(value) > MOST_ELEMENTS)
            return [_shallow(part, levels - 1) for part in value[:MOST_ELEMENTS]] + more
        case _:
            return value


def _floats(metadata: dict[str, Any]) -> list[float] | None:
    """Return the floats at all levels, or None if there are too many levels or values."""
    if len(metadata) < MOST_VALUES and _SIMPLE.issuperset(map(type, metadata.values())):  # the usual: one level
        return [value for value in metadata.values() if type(value) is float]
    level: list[Any] = [metadata]
    floats: list[float] = []
    levels = values = 0
    while level:
        levels, values = levels + 1, values + len(level)
        if levels > MOST_LEVELS or values > MOST_VALUES:
            return None
        floats += [value for value in level if type(value) is float]
        children = [value.values() if type(value) is dict else value for value in level if type(value) in (dict, list)]
        level = [*chain.from_iterable(children)]
    return floats


def _exponent_bytes(floats: Sequence[float], enough: int) -> int:
    """Return how many bytes longer numbers are without exponents; stop counting above `enough`."""
    longer = 0
    encoded = msgspec.json.encode(floats).decode()
    for number in encoded[1:-1].split(",") if "e" in encoded else ():
        if "e" in number:
            longer += max(0, len(format(Decimal(number), "f")) - len(number))
        if longer > enough:
            break
    return longer
