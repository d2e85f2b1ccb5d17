"""Named statements in `.sql` files: each begins at a line `-- name: <name>` and ends at the next one.

The statements that fold rows into a stream's totals differ only in where the rows come from and in what they return.
They are written in parts, each at a line `-- part: <name>`, which are joined here.
"""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from statsd import HOME

FOLDER = HOME / "sql"
JOINED = {
    "insert": ("insert", "fold", "stored"),
    "sweep": ("sweep", "fold", "swept"),
    "rebuild": ("rebuild", "fold", "rebuilt"),
}
"""The statements made of parts, and their parts in order."""
COUNT = "select count(*) from fresh"
"""The default of the parts `swept` and `rebuilt`."""

_ABOUT_NEXT = re.compile(r"(?:^--.*\n)+\Z", re.MULTILINE)  # the comment above the next name
_MARK = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)


@cache
def load(name: str) -> Mapping[str, str]:
    """Return the statements of `sql/<name>.sql`, or of the two files in a stream's folder `sql/<name>/`, by name.

    Raises FileNotFoundError, and ValueError for a name used twice.
    """
    texts: dict[str, dict[str, str]] = {"part": {}, "name": {}}
    folder = FOLDER / name
    for file in (folder / "store.sql", folder / "read.sql") if folder.is_dir() else (FOLDER / f"{name}.sql",):
        _, *pieces = _MARK.split(file.read_text())
        for mark, piece, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            if piece in texts["part"] or piece in texts["name"]:
                raise ValueError(f"sql/{name} names {piece} more than once")
            texts[mark][piece] = _ABOUT_NEXT.sub("", text).strip()
    parts = {"swept": COUNT, "rebuilt": COUNT, **texts["part"]}
    joins = JOINED if texts["part"] else {}
    joined = {statement: "\n".join(parts[part] for part in order) for statement, order in joins.items()}
    return MappingProxyType({**joined, **texts["name"]})


def text(name: str) -> str:
    """Return the statements of `load(name)` as one text for psql, each below its name."""
    return "\n".join(f"-- {statement}\n{text};\n" for statement, text in load(name).items())
