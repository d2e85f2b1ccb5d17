"""Named queries out of `.sql` files: each begins at a line `-- name: <name>` and runs to the next one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from statsd import HOME

FOLDER = HOME / "sql"

_ABOUT_NEXT = re.compile(r"(?:^--.*\n)+\Z", re.MULTILINE)  # the sentences above the next name
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def load(name: str) -> Mapping[str, str]:
    """Return the queries of `sql/<name>.sql`, or of both files in the folder `sql/<name>/` of a stream, by name.

    Raises FileNotFoundError, or ValueError for a name used twice.
    """
    queries: dict[str, str] = {}
    for file in _files(name):
        _, *parts = _NAME.split(file.read_text())
        for query, text in zip(parts[::2], parts[1::2], strict=True):
            if query in queries:
                raise ValueError(f"sql/{name} names {query} more than once")
            queries[query] = _ABOUT_NEXT.sub("", text).strip()
    return MappingProxyType(queries)


def _files(name: str) -> list[Path]:
    folder = FOLDER / name
    return [folder / "store.sql", folder / "read.sql"] if folder.is_dir() else [FOLDER / f"{name}.sql"]
