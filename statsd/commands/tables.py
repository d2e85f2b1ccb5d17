"""Rows on stdout: a table for people, or one JSON object per line for programs."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from statsd.web.times import iso


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows that have the same columns. Times are UTC; a value that is missing is empty in the table."""
    if as_json:
        for row in rows:
            print(json.dumps(row, default=plain, ensure_ascii=False))
        return
    if not rows:
        return
    lines = [[name.replace("_", " ") for name in rows[0]], *[[_text(value) for value in row.values()] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return " ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def plain(value: object) -> str:
    """Return a value that JSON does not have as a text, an instant as all answers write it."""
    return iso(value) if isinstance(value, datetime) else str(value)
