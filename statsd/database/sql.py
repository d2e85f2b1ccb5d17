"""Named queries out of `.sql` files: each begins at a line `-- name: <name>` and runs to the next one.

Statements of a stream that fold rows into its totals differ in where the rows come from and in what is returned. They
stand in pieces, each at a line `-- part: <name>`, which are joined here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from statsd import HOME

FOLDER = HOME / "sql"
JOINED = {
    "insert": ("insert", "fold", "stored"),
    "sweep": ("sweep", "fold", "swept"),
    "rebuild": ("rebuild", "fold", "rebuilt"),
}
"""The statements made of parts, and the parts in order."""
COUNT = "select count(*) from fresh"
"""The parts `swept` and `rebuilt` of a stream that has none of its own."""

_ABOUT_NEXT = re.compile(r"(?:^--.*\n)+\Z", re.MULTILINE)  # the sentences above the next name
_MARK = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)


@cache
def load(name: str) -> Mapping[str, str]:
    """Return the statements of `sql/<name>.sql`, or of both files in the folder `sql/<name>/` of a stream, by name.

    Raises FileNotFoundError, or ValueError for a name used twice.
    """
    found: dict[str, dict[str, str]] = {"part": {}, "name": {}}
    for file in _files(name):
        _, *pieces = _MARK.split(file.read_text())
        for mark, piece, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            if piece in found["part"] or piece in found["name"]:
                raise ValueError(f"sql/{name} names {piece} more than once")
            found[mark][piece] = _ABOUT_NEXT.sub("", text).strip()
    parts = {"swept": COUNT, "rebuilt": COUNT, **found["part"]}
    joins = JOINED if found["part"] else {}
    joined = {statement: "\n".join(parts[part] for part in order) for statement, order in joins.items()}
    return MappingProxyType({**joined, **found["name"]})


def text(name: str) -> str:
    """Return the statements of `load(name)` as one text, each below its name, ready for psql and `explain`."""
    return "\n".join(f"-- {statement}\n{text};\n" for statement, text in load(name).items())


def _files(name: str) -> list[Path]:
    folder = FOLDER / name
    return [folder / "store.sql", folder / "read.sql"] if folder.is_dir() else [FOLDER / f"{name}.sql"]
