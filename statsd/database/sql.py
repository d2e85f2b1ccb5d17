"""Named statements in `.sql` files: each begins at a line `-- name: <name>` and ends at the next one.

The statements that fold rows into a stream's totals differ only in where the rows come from and in what they return.
They are written in parts, each at a line `-- part: <name>`, which are joined here.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from statsd import HOME

FOLDER = HOME / "sql"
JOINED = {
    "insert": ("insert", "fold", "stored"),
    "sweep": ("waiting", "sweep", "fold", "swept"),
    "rebuild": ("rebuild", "fold", "rebuilt"),
    "append": ("append", "fold", "appended"),
    "import": ("import", "fold", "stored"),
}
"""The statements made of parts, and their parts in order."""

_NOT_IN_APPEND = re.compile(r"^.* -- not in `append`\n", re.MULTILINE)

_ABOUT_NEXT = re.compile(r"(?:^--.*\n)+\Z", re.MULTILINE)  # the comment above the next name
_MARK = re.compile(r"^-- (name|part|table): (\w+)\n", re.MULTILINE)


@cache
def load(name: str) -> Mapping[str, str]:
    """Return the statements of `sql/<name>.sql`, or of the two files in a stream's folder `sql/<name>/`, by name.

    A stream has those of `sql/streams.sql` too. It has `append` if its part `insert` has a line that is not in it, and
    `import` if it has such a part.

    Raises FileNotFoundError, and ValueError for a name used twice.
    """
    folder = FOLDER / name
    if not folder.is_dir():
        return MappingProxyType(_pieces(folder.with_suffix(".sql"))["name"])
    own, shared = _pieces(folder / "store.sql", folder / "read.sql"), _pieces(FOLDER / "streams.sql")
    parts = {"appended": own["part"]["stored"], **shared["part"], **own["part"]}
    parts["append"] = _NOT_IN_APPEND.sub("", parts["insert"])
    heads = {statement: order for statement, order in JOINED.items() if order[0] in parts}
    joined = {statement: "\n".join(parts[part] for part in order) for statement, order in heads.items()}
    if parts["append"] == parts["insert"]:
        del joined["append"]
    raw_table = table(name)
    statements = {**joined, **shared["name"], **own["name"]}
    return MappingProxyType({name: text.replace(":table", raw_table) for name, text in statements.items()})


def table(name: str) -> str:
    """Return the raw table of a stream, which is append-only. Its `store.sql` names it."""
    (table,) = _pieces(FOLDER / name / "store.sql")["table"]
    return table


def text(name: str) -> str:
    """Return the statements of `load(name)` as one text for psql, each below its name."""
    return "\n".join(f"-- {statement}\n{text};\n" for statement, text in load(name).items())


def _pieces(*files: Path) -> dict[str, dict[str, str]]:
    """Return the texts below the marks of some files, by the kind of the mark and its name."""
    texts: dict[str, dict[str, str]] = {"part": {}, "name": {}, "table": {}}
    for file in files:
        _, *pieces = _MARK.split(file.read_text())
        for mark, piece, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            if piece in texts["part"] or piece in texts["name"]:
                raise ValueError(f"{file.relative_to(FOLDER)} names {piece} more than once")
            texts[mark][piece] = _ABOUT_NEXT.sub("", text).strip()
    return texts
