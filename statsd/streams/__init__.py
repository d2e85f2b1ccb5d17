"""The kinds of events. A new one needs a folder here, a folder in `sql/`, a migration and a panel.

The spool is replayed in the order of KINDS, so a kind stands behind those that its rows refer to.
"""

import logging
from collections.abc import AsyncIterator
from types import ModuleType

from aiohttp import web

from statsd.database.pool import DSN
from statsd.ingest.lean import Way
from statsd.stream import Stream
from statsd.streams import logins, pageviews, transfers, usage, webhooks
from statsd.web import SETTINGS
from statsd.web.errors import Handler

log = logging.getLogger("statsd.streams")

KINDS = (logins, webhooks, usage, transfers, pageviews)

STREAMS: tuple[Stream, ...] = tuple(stream for kind in KINDS for stream in kind.STREAMS)
ROUTES: list[web.RouteDef] = [route for kind in KINDS for route in kind.ROUTES]


ALL = "all"
"""Stands for every stream."""


def named(name: str) -> tuple[Stream, ...]:
    """Return the streams that a name stands for: one with its parts, or all of them."""
    return tuple(stream for stream in STREAMS if name in (ALL, stream.name, stream.part_of))


def _name(kind: ModuleType) -> str:
    return kind.__name__.rpartition(".")[2]


def views() -> dict[str, frozenset[str]]:
    """Return the live topics of each view, which is named as its folder."""
    return {_name(kind): frozenset(topic for stream in kind.STREAMS for topic in stream.topics()) for kind in KINDS}


def ways(app: web.Application) -> dict[Handler, Way]:
    """Return the lean ways in by handler, but for those that need a token. They need the writers."""
    guarded = app[SETTINGS].require_ingest_token
    kinds = [kind for kind in KINDS if _name(kind) not in guarded]
    made = {handler: way(app) for kind in kinds for handler, way in kind.WAYS.items()}
    return {handler: way for handler, way in made.items() if way}


async def resources(app: web.Application) -> AsyncIterator[None]:
    """Make what the handlers keep between requests. Raises SettingsError for a secret of the wrong form."""
    app[webhooks.decoder.DECODER] = webhooks.decoder.EventDecoder(app[SETTINGS])
    app[webhooks.senders.KEYS] = webhooks.presets.keys(app[SETTINGS])
    for sentence in webhooks.presets.unknown(app[SETTINGS]):
        log.warning("%s", sentence)
    app[webhooks.export.EXPORTS] = webhooks.export.Exports(app[DSN])
    app[usage.features.FEATURES] = usage.features.Features()
    app[usage.read.ZONES] = set()
    yield
