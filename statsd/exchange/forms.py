"""The two forms of a file, NDJSON and CSV: how rows are written, and how a line of CSV becomes one of JSON.

A cell of CSV is a number, a time, a text, or JSON. An empty one stands for a value that is missing: no text of a record
may be empty. The guard against formulas (`streams/files.py`) is taken away by reading, so that every text comes back as
it was; a file that was written without guards is read without them, too.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from statsd.errors import StatsError
from statsd.streams.files import File, csv_line, unguarded
from statsd.streams.raw import Raw

FORMS = ("ndjson", "csv")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_FLOAT = re.compile(r"-?\d{1,18}(\.\d{0,18})?([eE][+-]?\d{1,2})?", re.ASCII)
_ENCODER = msgspec.json.Encoder()


def raws_of(stream: str) -> Sequence[Raw]:
    """Return the kinds of records of a stream, in the order in which they are exported."""
    raws: Sequence[Raw] = importlib.import_module(f"statsd.streams.{stream}.raw").RAW
    return raws


def header_of(raws: Sequence[Raw]) -> list[str]:
    """Return the columns of a stream's CSV: those of all kinds of records, the id and the kind first."""
    names = dict.fromkeys(name for raw in raws for name in raw.fields if name != "event_id")
    first = [name for name in ("kind", "id", "eventId") if name in names]
    return [*first, *(name for name in names if name not in first)]


def file_of(raw: Raw, form: str, header: Sequence[str], guard: bool = True) -> File:
    """Return how rows of one kind are written, without the header."""
    kind = {"kind": raw.kind} if raw.kind else {}
    if form == "csv":
        return File(lambda rows: "".join([_csv(header, {**kind, **raw.values(row)}, guard) for row in rows]).encode())
    return File(lambda rows: _ENCODER.encode_lines([{**kind, **raw.values(row)} for row in rows]))


def _csv(header: Sequence[str], values: Mapping[str, Any], guard: bool) -> str:
    return csv_line([_written(values.get(name)) for name in header], guard)


def _written(value: Any) -> Any:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


class Columns:
    """Turns the cells of a line of CSV into a line of JSON. Raises StatsError for a header that cannot be right."""

    def __init__(self, header: Sequence[str], raws: Sequence[Raw], guard: bool = True) -> None:
        allowed = {name for raw in raws for name in raw.fields}
        required = {name for raw in raws for name, must in raw.fields.items() if must} if len(raws) == 1 else set()
        unknown = [name for name in header if name not in allowed]
        missing = sorted(required - {*header})
        twice = sorted({name for name in header if header.count(name) > 1})
        wrong = [
            *([f"unknown columns: {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}"] if unknown else []),
            *([f"missing columns: {', '.join(missing)}"] if missing else []),
            *([f"columns that stand twice: {', '.join(twice)}"] if twice else []),
        ]
        if wrong:
            raise StatsError(f"the header of the CSV is wrong: {'; '.join(wrong)}")
        numbers = {name for raw in raws for name in raw.numbers}
        text: Callable[[str], Any] = unguarded if guard else str
        self._columns: list[tuple[str, Callable[[str], Any]]] = [
            (name, _number if name in numbers else _json if name == "metadata" else text) for name in header
        ]

    def line(self, cells: Sequence[str]) -> bytes:
        """Return the JSON of a record. Raises ValueError for another number of cells, and for invalid UTF-8."""
        if len(cells) != len(self._columns):
            raise ValueError(f"the line has {len(cells)} cells, the header has {len(self._columns)}")
        try:
            return _ENCODER.encode(
                {name: read(cell) for (name, read), cell in zip(self._columns, cells, strict=True) if cell}
            )
        except UnicodeEncodeError:
            raise ValueError("the line must be UTF-8") from None


def _number(cell: str) -> int | float | str:
    if _INTEGER.fullmatch(cell):
        return int(cell)
    # pandas writes the integers of a column with missing values as `1800.0`. Whether a number is whole, and what is
    # none, are for the decoder to say.
    return float(cell) if _FLOAT.fullmatch(cell) else cell


def _json(cell: str) -> msgspec.Raw | str:
    try:
        return msgspec.json.decode(cell, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError):
        return cell
