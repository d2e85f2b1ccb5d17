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
    "insert": ("insert", "named", "people", "fold", "stored"),
    "sweep": ("waiting", "sweep", "named", "people", "fold", "swept"),
    "rebuild": ("rebuild", "named", "people", "fold", "rebuilt"),
    "append": ("append", "named", "people", "fold", "appended"),
    "import": ("import", "named", "people", "fold", "stored"),
    "prune": ("aged", "prune", "named", "nobody", "fold", "pruned"),
    "erase": ("erase", "named", "nobody", "fold", "erased"),
}
"""The statements made of parts, and their parts in order. A stream need not have `named`, `people` and `nobody`.

`prune` folds the rows that it deletes into the totals of pruned rows, the tables `pruned_…`. `erase` subtracts what
`fold` adds.
"""
NEEDS = {"import": "import", "prune": "aged", "erase": "person"}
"""Joined statements that only those streams have that have this part or statement of their own."""

CHANNEL = "case current_schema() when 'public' then 'statsd' else 'statsd_' || md5(current_schema()) end"
"""The channel of NOTIFY, in SQL. Each schema has its own: two installations in one database do not hear each other."""

_NOT_IN_APPEND = re.compile(r"^.* -- not in `append`\n", re.MULTILINE)

_FOLDED_INTO = re.compile(r"insert into (\w+) as total")
_ADDED = re.compile(r"= total\.(\w+) \+ excluded\.\1")

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
    joined = {
        statement: "\n".join(filter(None, (parts.get(part, "") for part in order)))
        for statement, order in JOINED.items()
        if NEEDS.get(statement, "insert") in {**own["part"], **own["name"]}
    }
    if parts["append"] == parts["insert"]:
        del joined["append"]
    if "prune" in joined:
        joined["prune"] = _FOLDED_INTO.sub(r"insert into pruned_\1 as total", joined["prune"])
    if "erase" in joined:
        joined["erase"] = _ADDED.sub(r"= total.\1 - excluded.\1", joined["erase"])
    raw_table = table(name)
    statements = {**joined, **shared["name"], **own["name"]}
    return MappingProxyType(
        {name: text.replace(":table", raw_table).replace(":channel", CHANNEL) for name, text in statements.items()}
    )


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
