"""Files to import, line by line in constant memory: NDJSON or CSV, also compressed with gzip, also from stdin."""

import csv
import gzip
import io
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from statsd.errors import StatsError
from statsd.exchange.forms import Columns
from statsd.streams.raw import Raw
from statsd.web.decode import EVENT_BYTES

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
PEEKED_BYTES = 4_096
BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A record of a file: where it begins, its text there, and it as JSON, or else what is wrong with it."""

    number: int
    text: bytes
    json: bytes = b""
    fault: str = ""


@dataclass
class Lines:
    """The records of a file in the form it has; `head` is what a file with some of its lines must begin with."""

    form: str
    head: bytes
    records: Iterator[Line]
    left_out: Counter[str] = field(default_factory=Counter)
    """What a file of another program has that cannot be stored here, and how much of it there is."""


@contextmanager
def opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Yield a file to read, or stdin, unpacked if it is compressed. Raises OSError, and StatsError if it is damaged."""
    with whole(), path.open("rb") if path else sys.stdin.buffer as file:
        assert isinstance(file, io.BufferedReader)
        if file.peek(2)[:2] == GZIP:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield io.BufferedReader(unpacked, 1 << 16)
        else:
            yield file


@contextmanager
def whole() -> Iterator[None]:
    """Raise the errors of a compressed file that is cut off or damaged as StatsError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise StatsError(f"the file is cut off or damaged ({error}): what came before is stored") from error


def lines_of(file: IO[bytes], form: str | None, raws: Sequence[Raw], *, guard: bool = True) -> Lines:
    """Return the records of a file in a form, by default in the one that its first character shows.

    `guard`: the texts of CSV are without the apostrophes that keep them from being formulas.

    Raises StatsError for a file of another kind, and for a header that cannot be right.
    """
    assert isinstance(file, io.BufferedReader)
    start = file.peek(PEEKED_BYTES).removeprefix(BOM).lstrip()
    if start.startswith(ZIP):
        raise StatsError(
            "the file is a ZIP: unpack it, or name the program that it is from, such as --source plausible"
        )
    if start.startswith(b"["):
        raise StatsError("the file is a JSON array: write one object per line, such as with jq -c '.[]'")
    if (form or ("ndjson" if start.startswith(b"{") else "csv")) == "ndjson":
        return Lines("ndjson", b"", _objects(file))
    cells = csv_cells(file)
    head, header = next(((text, row) for _, text, row in cells if isinstance(row, list)), (b"", []))
    if not header:
        return Lines("csv", head, iter(()))
    columns = Columns(header, raws, guard)
    return Lines("csv", head, (_converted(line, columns) for line in cells))


def _objects(file: IO[bytes]) -> Iterator[Line]:
    number = 0
    while text := file.readline(EVENT_BYTES + 2):
        number += 1
        if len(text) > EVENT_BYTES + 1 and not text.endswith(b"\n"):
            while (rest := file.readline(EVENT_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield Line(number, text[:PEEKED_BYTES] + b"\n", fault=f"a line must have at most {EVENT_BYTES} bytes")
        elif stripped := (text.removeprefix(BOM) if number == 1 else text).strip():
            yield Line(number, text, stripped)


Cells = tuple[int, bytes, list[str] | str]
"""The number of a line of CSV, its text, and its cells, or else what is wrong with it."""


def csv_cells(file: IO[bytes]) -> Iterator[Cells]:
    """Yield the lines of a CSV, of which some have several lines of text."""
    taken: list[bytes] = []

    def texts() -> Iterator[str]:
        while text := file.readline(EVENT_BYTES):
            taken.append(text)
            yield (text.removeprefix(BOM) if reader.line_num == 0 else text).decode("utf-8", "surrogateescape")

    reader = csv.reader(texts())
    while True:
        number = reader.line_num + 1
        row: list[str] | str | None
        try:
            row = next(reader, None)
        except csv.Error as error:
            row = f"the line is no CSV: {error}"
        if row is None:
            return
        text = b"".join(taken)
        taken.clear()
        if row:
            yield number, text, row


def _converted(line: Cells, columns: Columns) -> Line:
    number, text, cells = line
    if isinstance(cells, str):
        return Line(number, text, fault=cells)
    try:
        return Line(number, text, columns.line(cells))
    except ValueError as error:
        return Line(number, text, fault=str(error))
