"""The kinds of events. A new one is a folder here, a folder in `sql/`, a migration and a panel.

What others refer to stands before them: the spool is replayed in this order.
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
"""What handlers need while the program runs, in the form of aiohttp's `cleanup_ctx`; started before the writers."""
