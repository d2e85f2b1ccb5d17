"""Who may use a route: the one check in front of every handler.

A route declares its access (`@Operation(access=…)`); one that declares nothing is read. A right that a setting does not
ask for is not checked: then nobody is asked who they are, and no answer depends on what they send. Whoever has to show
a right sends a session's token, an API token, or a share link.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.checks import CHECKS
from statsd.accounts.keys import KEY_CHECKS, LINK, TOKEN, VIEW
from statsd.errors import DatabaseAway, Forbidden, Overloaded, Unauthenticated
from statsd.settings import Settings
from statsd.web import SETTINGS
from statsd.web.asked import IN_QUERY
from statsd.web.errors import Handler
from statsd.web.grants import GRANT, Grant
from statsd.web.operation import Operation, declared, view_of

RIGHTS = {"viewer": frozenset({"read"}), "admin": frozenset({"read", "metrics", "admin"})}
RECHECK_SECONDS = 30.0  # live connections, in case the announcement of a revocation was lost
ANNOUNCEMENT = "access"
"""What servers tell each other after a logout or a revocation."""

VIEWS: web.AppKey[Mapping[str, frozenset[str]]] = web.AppKey("views")
"""The live topics of each view."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the credential they sent, their rights, and its end in Unix seconds."""

    credential: str
    rights: frozenset[str]
    ends: float | None

    @property
    def view(self) -> str:
        """The view that the caller's share link shows; empty without a link."""
        return next((right.removeprefix(VIEW) for right in self.rights if right.startswith(VIEW)), "")

    def may_see(self, operation: Operation, view: str) -> bool:
        """Whether the caller has a share link that shows what the route reads."""
        return self.view != "" and (operation.shared == "every" or (operation.shared == "own" and view == self.view))


@web.middleware
async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request in that may use its route. Raises Unauthenticated (401) and Forbidden (403)."""
    if request.match_info.http_exception is None:
        await _admit(request)
    return await handler(request)


async def _admit(request: web.Request) -> None:
    operation, view = declared(request.match_info.handler), view_of(request.match_info.handler)
    is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
    right = needed(operation, view, request.app[SETTINGS], is_socket=is_socket)
    is_signed = operation.is_signed is not None and operation.is_signed(request)
    if is_signed or (right is None and operation.shared == "no"):
        return
    secret = link(_in_query(request)) or link(_bearer(request))
    if right is None and not secret:
        return
    caller = await identify(request.app, secret or session.token(request))
    is_shared = request.method in ("GET", "HEAD") and caller.may_see(operation, view)
    if right not in caller.rights and not is_shared:
        raise Forbidden(f"this token is not for that: it needs the scope {right or 'read'}")
    request[GRANT] = _grant(request.app, caller)


def needed(operation: Operation, view: str, settings: Settings, *, is_socket: bool = False) -> str | None:
    """Return the right that a route needs with these settings; None: nobody is asked who they are.

    Raises HTTPNotFound for /metrics that are off.
    """
    reading = "read" if settings.require_login else None
    match operation.access:
        case "open" | "user":
            return reading if is_socket else None
        case "ingest":
            return f"ingest:{view}" if view in settings.require_ingest_token else None
        case "read":
            return reading
        case "login":
            return "read"
        case "metrics" if settings.metrics == "off":
            raise web.HTTPNotFound
        case "metrics":
            return "metrics" if (settings.metrics or (reading and "login")) == "login" else None
        case "admin":
            return "admin"


def link(secret: str) -> str:
    """Return the secret if it is one of a share link, else an empty text."""
    return secret if secret.startswith(LINK) else ""


def _in_query(request: web.Request) -> str:
    return request.query.get(IN_QUERY, "") if IN_QUERY in request.query_string else ""


def _bearer(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    return (session.bearer_token(headers[0]) or "") if len(headers) == 1 else ""


async def identify(app: web.Application, credential: str) -> Caller:
    """Return whose credential it is. Raises Unauthenticated, DatabaseAway and Overloaded."""
    if credential.startswith((TOKEN, LINK)):
        key = await app[KEY_CHECKS].of(credential)
        return Caller(credential, key.scopes | (RIGHTS["admin"] if "admin" in key.scopes else frozenset()), key.ends)
    claims = app[session.TOKENS].read(credential)
    user = await app[CHECKS].seen(claims)
    return Caller(credential, RIGHTS[user.role], claims.exp)


async def has_ingest_token(request: web.Request, view: str) -> bool:
    """Whether the request has an API token for this way in, which may stand in place of a key or a signature.

    Raises Unauthenticated, Forbidden, DatabaseAway and Overloaded for an API token that is not for it.
    """
    if GRANT in request:
        return True  # a setting asks for the token: it was checked before the handler
    token = _bearer(request)
    if not token.startswith(TOKEN):
        return False
    scope = f"ingest:{view}"
    if scope not in (await identify(request.app, token)).rights:
        raise Forbidden(f"this token is not for that: it needs the scope {scope}")
    return True


def _grant(app: web.Application, caller: Caller) -> Grant:
    topics = None if "read" in caller.rights else app[VIEWS].get(caller.view, frozenset())
    return Grant(topics, partial(app[HOLDS].hold, caller))


class Holds:
    """The live connections of callers; they end when the caller's right ends. `run` is its task."""

    def __init__(self, app: web.Application, announce: Callable[[], None]) -> None:
        self._app = app
        self._announce = announce
        self._held: dict[str, set[Callable[[], None]]] = {}
        self._ends: dict[str, float | None] = {}
        self._wake = asyncio.Event()

    @contextmanager
    def hold(self, caller: Caller, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` if the right of the caller ends within the block."""
        ends = self._held.setdefault(caller.credential, set())
        ends.add(end)
        self._ends[caller.credential] = caller.ends
        if caller.ends is not None and caller.ends - time.time() < RECHECK_SECONDS:
            self._wake.set()
        try:
            yield
        finally:
            ends.discard(end)
            if not ends and self._held.get(caller.credential) is ends:
                del self._held[caller.credential], self._ends[caller.credential]

    def revoked(self) -> None:
        """Tell every server that a right has ended."""
        self._announce()
        self._wake.set()

    def check(self) -> None:
        """Check all rights soon."""
        self._wake.set()

    async def run(self) -> None:
        """Check the rights of all who hold a connection, after each announcement and in time, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    await self._wake.wait()
            self._wake.clear()
            await asyncio.gather(self._app[CHECKS].refresh(), self._app[KEY_CHECKS].refresh())
            await asyncio.gather(*map(self._check, list(self._held)))

    def _patience(self) -> float:
        """Return the seconds until a right ends, from 1 to 30."""
        soonest = min((end for end in self._ends.values() if end is not None), default=float("inf"))
        return min(RECHECK_SECONDS, max(1.0, soonest - time.time()))

    async def _check(self, credential: str) -> None:
        try:
            await identify(self._app, credential)
        except Unauthenticated:
            self._ends.pop(credential, None)
            for end in self._held.pop(credential, set()):
                end()
        except (DatabaseAway, Overloaded):
            pass  # not known: the next check finds out


HOLDS: web.AppKey[Holds] = web.AppKey("holds")
