"""The kinds of events. A new one needs a folder here, a folder in `sql/`, a migration and a panel.

The spool is replayed in the order of KINDS, so a kind stands behind those that its rows refer to.
"""

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from statsd.stream import Stream
from statsd.streams import logins, pageviews, transfers, usage, webhooks

KINDS = (logins, webhooks, usage, transfers, pageviews)

STREAMS: tuple[Stream, ...] = tuple(stream for kind in KINDS for stream in kind.STREAMS)
ROUTES: list[web.RouteDef] = [route for kind in KINDS for route in kind.ROUTES]
CONTEXTS: list[Callable[[web.Application], AsyncIterator[None]]] = [
    context for kind in KINDS for context in kind.CONTEXTS
]
"""Resources of the handlers, as generators for aiohttp's `cleanup_ctx`. They start before the writers."""
