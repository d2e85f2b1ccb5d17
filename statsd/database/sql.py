"""Named queries out of a `.sql` file: each begins at a line `-- name: <name>` and runs to the next one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from statsd import HOME

FOLDER = HOME / "sql"

_ABOUT_NEXT = re.compile(r"(?:^--.*\n)+\Z", re.MULTILINE)  # the sentences above the next name
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def load(file: str) -> Mapping[str, str]:
    """Return the queries of `sql/<file>.sql` by name. Raises FileNotFoundError, or ValueError for a name used twice."""
    _, *parts = _NAME.split((FOLDER / f"{file}.sql").read_text())
    names, texts = parts[::2], parts[1::2]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"sql/{file}.sql names {', '.join(sorted(twice))} more than once")
    return MappingProxyType({name: _ABOUT_NEXT.sub("", text).strip() for name, text in zip(names, texts, strict=True)})
