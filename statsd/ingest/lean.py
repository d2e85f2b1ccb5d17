"""The lean front: answers plain requests of the ways in without a request object, a task or a future for each.

aiohttp's own parser reads the head of a request when its bytes are seen for the first time. If it names a way in, has
a length and only harmless headers, it is remembered: the same bytes mean the same the next time. The event in the body
then goes straight into the writer's queue, and the answer is one write. All other requests go to aiohttp with their
bytes, also those whose event is refused: nothing was stored then, and the handler says what is wrong. So no byte is
ever interpreted by a parser of ours.

A `Front` is aiohttp's protocol of a connection. It takes a request only while aiohttp waits for one. So keep-alive,
the limits of a connection, and the drain at a stop are aiohttp's own.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from multidict import CIMultiDictProxy

from statsd.errors import DatabaseError, Overloaded, StatsError
from statsd.ingest.lanes import Waiter
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import Writer
from statsd.metrics import REFUSALS, REQUESTS, Latency
from statsd.stream import Row
from statsd.web import SETTINGS
from statsd.web.addresses import is_served, is_within
from statsd.web.answers import Body, Reply
from statsd.web.errors import Handler, unavailable
from statsd.web.forwarded import is_https
from statsd.web.origins import HEADERS, HSTS
from statsd.web.protocol import Protocol, Server

BODY_BYTES = 64 << 10  # a longer body costs much more than its request
MEMORY_BYTES = 8 << 20  # of remembered heads
HELD_BYTES = 64 << 10  # of requests that a client sends before it has its answer
BODY_SECONDS = 1.0  # for the rest of a body; then aiohttp waits for it
MISSES = 8  # after so many new heads in a row, a connection is left to aiohttp: to learn a head costs a request
HARMLESS = frozenset(
    (
        *("host", "connection", "content-type", "content-length", "user-agent", "accept", "accept-encoding"),
        *("accept-language", "cache-control", "pragma", "sec-fetch-mode"),
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    )
)
"""Headers that change nothing about the answer of a way in."""
UNCLEAR = frozenset(("expect", "upgrade", "transfer-encoding", "content-encoding"))
"""Headers after which a body may not be as long as `Content-Length` says, or may wait for an answer."""
END = b"\r\n\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ANY_UUID = b"00000000-0000-0000-0000-000000000000"

log = logging.getLogger("statsd.ingest")


@dataclass(frozen=True, slots=True)
class Way:
    """A way in, beside its handler: how a request becomes a row, and a verdict an answer."""

    store: Callable[[bytes, str, Waiter], bool]
    """Begins to store the event of a body. The text is the UUID in the path, or the value of `header`; empty without.
    Returns False for anything but one event whose id is new, and may raise StatsError: then the handler takes over.
    """
    reply: Callable[[Verdict], Reply | None]
    """Makes the answer of a verdict without an error. None if nothing was stored: then the handler takes over."""
    header: str = ""
    """A header that the way reads, in lower case."""


def storing(writer: Writer, row: Callable[[bytes, str], Row | None]) -> Callable[[bytes, str, Waiter], bool]:
    """Return the `store` of a way whose body is a row at once; None where the handler takes over."""

    def store(body: bytes, text: str, waiter: Waiter) -> bool:
        made = row(body, text)
        return made is not None and writer.offer((made,), waiter)

    return store


WAYS: web.AppKey[Mapping[Handler, Way]] = web.AppKey("ways")
"""The lean ways in by handler; none with `STATS_LEAN=off`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a head means: the bytes of its body, its way in, the header that this reads, and where answers are counted.
    Without a way, aiohttp answers.
    """

    length: int
    way: Way | None = None
    header: str = ""
    is_https: bool = False
    """Whether it says that a proxy was asked over TLS."""
    latency: Latency = field(default_factory=Latency)


OPAQUE = Plan(-1)
"""Of a head after which only aiohttp knows where the request ends, and whether another one follows."""


class Heads:
    """The heads seen so far, and what all answers have in common."""

    def __init__(self, app: web.Application) -> None:
        settings, ways = app[SETTINGS], app[WAYS]
        self._settings = settings
        routes = [route for route in app.router.routes() if route.handler in ways and route.resource]
        self._ways = {
            (route.method, _path(route)): (ways[route.handler], REQUESTS.of(route.resource.canonical, route.method))
            for route in routes
            if route.resource
        }
        self._with_uuid = [
            re.compile(b"(%b)(%b)(?=%b )" % (route.method.encode() + b" " + start, UUID, end))
            for route in routes
            for start, found, end in [_path(route).encode().partition(ANY_UUID)]
            if found
        ]
        vary = {"Vary": "Origin"} if settings.cors_origins or settings.frontend_url else {}
        plain = _lines({**HEADERS, "Cache-Control": "no-store", **vary})
        self._secure = plain + _lines(HSTS)
        self._common = self._secure if (settings.public_url or "").startswith("https:") else plain
        self._second, self._date = 0, ""
        self._plans: dict[bytes, Plan] = {}
        self._bytes = 0

    def find(self, head: bytes) -> tuple[Plan | None, str]:
        """Return what a head means, if it is known, and the UUID in its path. That may be another one each time."""
        if plan := self._plans.get(head):
            return plan, ""
        for pattern in self._with_uuid:
            if match := pattern.match(head):
                return self._plans.get(match[1] + ANY_UUID + head[match.end() :]), match[2].decode()
        return None, ""

    def learn(self, head: bytes, uuid: str) -> Plan:
        """Return what a new head means, and remember it."""
        head = head.replace(uuid.encode(), ANY_UUID, 1) if uuid else head
        if self._bytes + len(head) > MEMORY_BYTES:
            self._plans.clear()
            self._bytes = 0
        self._bytes += len(head)
        self._plans[head] = plan = self._parse(head)
        return plan

    def is_proxy(self, address: str) -> bool:
        """Whether a proxy at this address is believed what it says about the browser's connection."""
        return not self._settings.public_url and is_within(address, self._settings.trusted_proxies)

    def response(self, body: Body, status: int, headers: Mapping[str, str], is_secure: bool) -> bytes:
        """Return the bytes of an answer, as aiohttp writes them; `is_secure` if a trusted proxy was asked over TLS."""
        common = self._secure if is_secure else self._common
        if (second := int(time.time())) != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        if status == 204:
            return f"{STATUS_LINES[204]}Date: {self._date}\r\n{common}\r\n".encode()
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        head = (
            f"{STATUS_LINES[status]}Content-Type: application/json\r\n{_lines(headers)}"
            f"Content-Length: {len(encoded)}\r\nDate: {self._date}\r\n{common}\r\n"
        )
        return head.encode() + encoded

    def _parse(self, head: bytes) -> Plan:
        loop = asyncio.get_running_loop()
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, max_line_size=8190, max_field_size=8190)
        try:
            ((message, _),), upgraded, tail = parser.feed_data(head + END)
        except (HttpProcessingError, ValueError):
            return OPAQUE
        length = message.headers.get("Content-Length", "0")
        is_opaque = upgraded or message.upgrade or message.chunked or message.should_close or tail
        if is_opaque or not (_is_plain(head) and UNCLEAR.isdisjoint(map(str.lower, message.headers))):
            return OPAQUE
        if not length.isdecimal() or int(length) > BODY_BYTES:
            return OPAQUE
        way, latency = self._ways.get((message.method, message.path), (None, None))
        is_known = is_served(message.headers.get("Host"), self._settings)
        if way and latency and is_known and _is_harmless(message.headers, way.header):
            header = message.headers.get(way.header, "")
            return Plan(int(length), way, header, is_https(message.headers), latency)
        return Plan(int(length))


def _answer(way: Way, verdict: Verdict) -> Reply | None:
    """Return the answer, or None if certainly nothing was stored: then aiohttp may take the request again.

    An event that neither PostgreSQL nor the spool confirmed may be stored all the same, by a statement that is late.
    """
    match verdict.error:
        case None:
            return way.reply(verdict)
        case Overloaded() | DatabaseError() as error:
            REFUSALS.labels(error.reason).inc()
            return unavailable(error)
        case _:
            return None


def _path(route: web.AbstractRoute) -> str:
    """Return the path of a route, with `ANY_UUID` in place of its parameter."""
    assert route.resource is not None
    return re.sub(r"\{\w+\}", ANY_UUID.decode(), route.resource.canonical)


def _is_plain(head: bytes) -> bool:
    """Whether every line ends in CRLF, so that the head ends nowhere before its last byte."""
    return head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")


def _is_harmless(headers: CIMultiDictProxy[str], known: str) -> bool:
    names = {name.lower() for name in headers}
    is_harmless = len(names) == len(headers) and HARMLESS.issuperset(names - {known})
    media = headers.get("Content-Type", "").partition(";")[0]
    return is_harmless and "content-length" in names and media == "application/json"


def _lines(headers: Mapping[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


class Front(Protocol):
    """The protocol of a connection, which answers lean requests itself. The writer takes it for a future."""

    __slots__ = ("_began", "_heads", "_held", "_is_clean", "_is_proxy", "_misses", "_plan", "_request", "_timer")

    def __init__(self, heads: Heads, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heads = heads
        self._misses = 0
        self._began = 0.0  # when the lean request under way was complete
        self._is_proxy: bool | None = None  # whether the peer is a trusted proxy; None: not yet known
        self._is_clean = True  # whether aiohttp's parser stands between two requests
        self._plan: Plan | None = None  # of the lean request under way
        self._request = b""  # the lean request under way
        self._held = b""  # the beginning of a request, or what came while a lean request was under way
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take a lean request, or leave the bytes to aiohttp."""
        if self._held:
            data, self._held = self._held + data, b""
        if self._plan is not None:
            self._held = data
            if len(data) > HELD_BYTES:
                self._pause_transport_reading()
        elif data and self._is_clean and not self._close and not self._force_close:
            self._take(data)
        else:
            super().data_received(data)

    def _take(self, data: bytes) -> None:
        head, end, body = data.partition(END)
        plan, uuid = self._plan_of(head) if end else (OPAQUE, "")
        if len(body) < plan.length:
            self._hold(data)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(body) > plan.length:
            self._leave(data)
        elif plan.way and self._is_waiting() and self._store(plan.way, body, uuid or plan.header):
            self._plan, self._request, self._began = plan, data, self._loop.time()
            self._request_in_progress = True  # a stop waits for the answer
        else:
            super().data_received(data)

    def _plan_of(self, head: bytes) -> tuple[Plan, str]:
        plan, uuid = self._heads.find(head)
        if plan:
            self._misses = 0
            return plan, uuid
        self._misses += 1
        return (self._heads.learn(head, uuid) if self._misses <= MISSES else OPAQUE), uuid

    def _store(self, way: Way, body: bytes, text: str) -> bool:
        try:
            return way.store(body, text, self)
        except StatsError:
            return False

    def _is_waiting(self) -> bool:
        """Whether aiohttp waits for a request, and the client takes its answers.

        Before the first request, aiohttp's task may not have come to that yet.
        """
        is_idle = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        return is_idle and not self._messages and not self._paused

    def _leave(self, data: bytes) -> None:
        """Leave these and all later bytes of the connection to aiohttp."""
        self._is_clean = False
        super().data_received(data)

    def _hold(self, data: bytes) -> None:
        """Keep the beginning of a request until its body is complete."""
        self._held = data
        self._timer = self._timer or self._loop.call_later(BODY_SECONDS, self._leave_held)

    def _leave_held(self) -> None:
        self._timer = None
        data, self._held = self._held, b""
        self._leave(data)

    def done(self) -> bool:
        """Whether the client has gone, so that nobody waits for the verdict."""
        return self.transport is None

    def set_result(self, verdicts: list[Verdict]) -> None:
        """Answer the lean request under way. If certainly nothing was stored, leave it to aiohttp."""
        (verdict,), plan, request = verdicts, self._plan, self._request
        assert plan and plan.way and self.transport  # noqa: PT018
        self._plan, self._request = None, b""
        self._request_in_progress = False
        now = self._loop.time()
        self._next_keepalive_close_time = now + self._keepalive_timeout
        try:
            answer = _answer(plan.way, verdict)
        except Exception:
            log.exception("an answer could not be made")
            self.force_close()
            return
        if answer:
            plan.latency.observe(answer[1], now - self._began)
            self.transport.write(self._heads.response(*answer, plan.is_https and self._is_from_proxy()))
        else:
            super().data_received(request)
        if self._handler_waiter is not None:
            self._handler_waiter.set_result(None)
        elif self._held:
            data, self._held = self._held, b""
            self._resume_transport_reading()
            self.data_received(data)

    def _is_from_proxy(self) -> bool:
        if self._is_proxy is None and self.transport:
            self._is_proxy = self._heads.is_proxy((self.transport.get_extra_info("peername") or ("",))[0])
        return bool(self._is_proxy)

    def _process_keepalive(self) -> None:
        if self._plan is not None:  # a connection is not idle while its answer is still to come
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()


class Runner(web.AppRunner):
    """A runner whose connections have a lean front. Handlers inflate bodies themselves: aiohttp does it all at once."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, auto_decompress=False, **options)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(self.app, server) if self.app[WAYS] else Server(self.app, server)


class _Server(Server):
    def __init__(self, app: web.Application, server: web.Server) -> None:
        super().__init__(app, server)
        self._heads = Heads(app)

    def __call__(self) -> Front:
        return Front(self._heads, self._app, self, loop=self._loop, **self._kwargs)
