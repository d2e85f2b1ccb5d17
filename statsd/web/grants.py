"""What a request may see, once it has been checked who sends it: for the live connections, which last."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of a caller. A request without one was not asked who sends it: it may see every topic, for ever."""

    topics: Collection[str] | None
    """The live topics that it may see; None: all."""
    hold: Callable[[Callable[[], None]], AbstractContextManager[None]]
    """A block in which the function is called if the right ends: after a logout, a revocation, or at its end."""


GRANT: web.RequestKey[Grant] = web.RequestKey("grant", Grant)


def held(request: web.Request, end: Callable[[], None]) -> AbstractContextManager[None]:
    """Return a block in which `end` is called if the right ends that the request was let in with."""
    grant = request.get(GRANT)
    return grant.hold(end) if grant else nullcontext()


def visible(request: web.Request, topics: Collection[str]) -> Collection[str]:
    """Return which of the topics the request may see."""
    grant = request.get(GRANT)
    return topics if grant is None or grant.topics is None else [topic for topic in topics if topic in grant.topics]
