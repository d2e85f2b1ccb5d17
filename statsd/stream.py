"""What a stream is: one value that says all that the program needs to know of a kind of event.

The folder `sql/<name>/` holds the heads `insert`, `sweep` and `rebuild`, the `fold` they share, and `snapshot`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

Row = tuple[Any, ...]
"""The values of one event, in the order of its stream's columns."""


@dataclass(frozen=True, slots=True)
class View:
    """What a live topic shows: one JSON value, the answer to a query."""

    stream: str
    query: str = "snapshot"
    file: str = ""
    """Where its query stands, if not in the files of the stream."""
    arguments: tuple[Any, ...] | None = None
    """None: the moment it is made for."""
    follows: frozenset[str] = frozenset()
    """Other streams whose events change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A kind of event. Its routes stand beside it, in its folder."""

    name: str
    """Names its SQL file, its live topic and its NOTIFY payload."""
    table: str
    """The raw table, append-only."""
    event: type[msgspec.Struct]
    """What a client sends, decoded."""
    columns: Mapping[str, Any]
    """The columns of a row and their types, in the order of the parameters of `insert`; the first is `id`."""
    row: Callable[[Any, UUID], Row]
    """Turns an event and its id into the values of `columns`."""
    sample: Callable[[random.Random], Any]
    """Makes a realistic event for the generator."""
    part_of: str = ""
    """The stream in whose file, topic and panel this one has its place, where it has none of its own."""
    views: Mapping[str, View] = field(default_factory=dict)
    """Its live topics by name, beside the one of its own name."""
    follows: frozenset[str] = frozenset()
    """Other streams whose events change its snapshot."""
    as_spooled: Callable[[Row], Row] = lambda row: row
    """What of a row goes to the spool: with the time it was accepted, where PostgreSQL would choose one."""

    def topics(self) -> dict[str, View]:
        """Return its live topics by name."""
        own = {} if self.part_of else {self.name: View(self.name, follows=self.follows)}
        return {**own, **self.views}
