"""What a stream is: one value that says all that the program needs to know of a kind of event.

The folder `sql/<name>/` holds the heads `insert`, `sweep` and `rebuild`, the `fold` they share, and `snapshot`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from statsd.errors import InvalidEvent

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
    """A kind of event. Adding one changes nothing outside its own files and `streams/__init__.py`."""

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
    routes: Callable[[], list[web.RouteDef]]
    """The stream's HTTP routes."""
    open_paths: frozenset[str] = frozenset()
    """Paths that pages of any origin may use, without credentials, in the form `/jobs/{job}`."""
    near_paths: frozenset[str] = frozenset()
    """Paths that pages of the reader's own machine (http://localhost, whatever the port) may use likewise."""
    session_paths: frozenset[str] = frozenset()
    """Paths for people who have logged in, which FRONTEND_URL's pages may use with credentials."""
    envelope: Callable[[InvalidEvent], dict[str, Any]] | None = None
    """The body of a 400 of its routes, where their contract has one of its own."""
    wrong: Callable[[random.Random], tuple[str, bytes]] | None = None
    """Makes the path and body of a request that the stream refuses, for a generator that can send it to a server."""
    part_of: str = ""
    """The stream in whose file, topic and panel this one has its place, where it has none of its own."""
    views: Mapping[str, View] = field(default_factory=dict)
    """Its live topics by name, beside the one of its own name."""
    follows: frozenset[str] = frozenset()
    """Other streams whose events change its snapshot."""
    aside: Callable[[Row], Row] = lambda row: row
    """What of a row goes to the spool: with the time it was accepted, where PostgreSQL would choose one."""
    fixtures: bool = False
    """Whether its samples refer to rows that its query `fixtures` stores; that may run any number of times."""
    contexts: tuple[Callable[[web.Application], AsyncIterator[None]], ...] = ()
    """What else it needs while the program runs, in the form of aiohttp's `cleanup_ctx`; starts before the writers."""

    def topics(self) -> dict[str, View]:
        """Return its live topics by name."""
        own = {} if self.part_of else {self.name: View(self.name, follows=self.follows)}
        return {**own, **self.views}
