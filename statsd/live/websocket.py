"""Live statistics over a WebSocket (RFC 6455).

`/ws` sends nothing at connect. Until a client subscribes to topics, it gets a `stats_update` of the logins after every
change and every aggregation. A malformed message gets an `error` frame, and the socket stays open.

`/events/ws`, `/ws?stream=events` and `/` follow the contract of the webhooks: one `{stats}` frame at connect, and one
after every change. Messages are answered as on `/ws`.

Codes of close frames follow RFC 6455 §7.4: that of the peer is sent back to it; 1002 answers one that may not be on the
wire, 1003 a binary message, 1008 too many messages or a right that has ended, 1013 a peer that takes nothing.
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from struct import pack
from traceback import clear_frames
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from statsd import metrics
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent
from statsd.live.client import Client, Framing
from statsd.live.places import MESSAGES_PER_SECOND, Bucket, Places
from statsd.live.topics import HUB, Hub
from statsd.web import SETTINGS
from statsd.web.addresses import client_address
from statsd.web.decode import parse
from statsd.web.grants import held, visible
from statsd.web.origins import is_own

FRAME_BYTES = 64 * 1024  # the longest message of a client
HEARTBEAT_SECONDS = 20.0  # a peer that does not answer a ping within half of this is dead
CLOSE_SECONDS = 2.0
LAST_CODE = 4999  # of a close frame
TOO_SLOW = (WSCloseCode.TRY_AGAIN_LATER, "too slow")
ENDED = (WSCloseCode.POLICY_VIOLATION, "the right to read has ended")

TYPES = ("ping", "request_initial_data", "subscribe")
PONG = b'{"type":"pong"}'

log = logging.getLogger("statsd.websocket")


@cache
def text(framing: Framing) -> Framing:
    """Return the framing as a text message: always the same one for a framing, so that sockets share its frames."""
    return lambda payload: _text_frame(framing(payload))


def _text_frame(payload: bytes) -> bytes:
    """Return the unmasked frame of a whole text message (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        head = pack("!BB", 0x81, size)
    elif size < 65_536:
        head = pack("!BBH", 0x81, 126, size)
    else:
        head = pack("!BBQ", 0x81, 127, size)
    return head + payload


@cache
def _update(topic: str) -> Framing:
    """Return the framing of a topic: always the same one, so that subscribers share its frames."""
    return lambda payload: b'{"type":"update","topic":"' + topic.encode() + b'","payload":' + payload + b"}"


def _error(message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "message": message, "error": message, "availableTypes": TYPES})


HANDSHAKE_ERRORS = {
    400: "duplicate header, or invalid parameter",
    403: "pages of this origin may not connect",
    426: "not an upgrade to a WebSocket of version 13",
    503: "too many sockets are open already",
}


@dataclass(frozen=True, slots=True)
class Contract:
    """The topic and framing of a socket until its client subscribes to topics."""

    topic: str
    framing: Callable[[Mapping[str, Any]], Framing]
    """Returns the framing for the client's query parameters or message."""
    sends_at_connect: bool = False
    """Whether the first frame is sent at connect, not after the first change."""


CONTRACTS: web.AppKey[Mapping[str, Contract]] = web.AppKey("contracts")
"""By name: as `channel` in a message `subscribe`, as `stream` in the query of `/ws`."""
INITIAL: web.AppKey[Contract] = web.AppKey("initial")
"""The contract of the answer to `request_initial_data`."""
PLACES: web.AppKey[Places] = web.AppKey("places")
"""The places for sockets."""


async def converse(request: web.Request, contract: Contract) -> web.WebSocketResponse:
    """Serve a WebSocket by the contract, until the peer leaves or stalls.

    Raises BadRequest: 400, 403 or 426 for a wrong handshake, 503 when too many sockets are open.
    """
    _check_handshake(request)
    hub, places, address = request.app[HUB], request.app[PLACES], client_address(request)
    # Compression is off: at 8,000 clients its windows take five times the memory of everything else.
    # max_msg_size is the first size that is refused; with writer_limit=1 every send waits while the buffer is full.
    # Without autoping and autoclose, pings count as messages, and the peer's close code is ours to answer.
    socket = web.WebSocketResponse(
        autoping=False,
        autoclose=False,
        heartbeat=HEARTBEAT_SECONDS,
        compress=False,
        max_msg_size=FRAME_BYTES + 1,
        writer_limit=1,
        timeout=CLOSE_SECONDS,
    )
    places.take(address)
    metrics.CLIENTS.inc()
    try:
        await socket.prepare(request)
        hub.sockets.add(socket)
        with suppress(ConnectionResetError):  # the peer left
            await Conversation(socket, request).run(contract)
    finally:
        metrics.CLIENTS.dec()
        places.give_back(address)
        hub.sockets.discard(socket)
        _abandon(request)
        _release(socket, request)
    return socket


def _abandon(request: web.Request) -> None:
    """Abort a connection whose peer leaves frames in the buffer: closing it would wait for the peer, for ever."""
    transport = request.transport
    if transport is not None and transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.abort)


def _release(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Break aiohttp's reference cycles through a closed socket, so that it is freed at once."""
    request.protocol._data_received_cb = None  # by its heartbeat the connection keeps the socket, which keeps it
    error = socket.exception()
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


class Conversation(Client):
    """One socket. Its handler reads and answers messages; the frames of topics are written by who has them."""

    __slots__ = ("_close", "_hub", "_request", "_socket", "_topics")

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        super().__init__(request)
        self._socket, self._request, self._hub = socket, request, request.app[HUB]
        self._topics = visible(request, self._hub.topics)
        self._close: tuple[int, str] = TOO_SLOW  # if `stall` ends the conversation

    def is_closing(self) -> bool:
        return self._socket.closed or super().is_closing()

    async def run(self, contract: Contract) -> None:
        """Run until the peer leaves, stalls, or breaks a rule, or until its right ends."""
        sees = contract.topic in self._topics
        self._hub.subscribe(self, {contract.topic: text(contract.framing(self._request.query))} if sees else {})
        greeting = None
        try:
            async with self.stall:
                if contract.sends_at_connect and sees:
                    greeting = asyncio.create_task(self._greet([contract.topic]), name="greeting")
                with held(self._request, self._end):
                    code, reason = await self._talk()
        except TimeoutError:
            code, reason = self._close
        finally:
            self._hub.subscribe(self, {})  # no frame may follow the close frame
            self.close()
            if greeting is not None:
                greeting.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=code, message=reason.encode(), drain=False)

    def _end(self) -> None:
        """End the conversation of a caller who has no right to it any more."""
        if not self.stall.expired():
            self._close = ENDED
            self.stall.reschedule(asyncio.get_running_loop().time())

    async def _talk(self) -> tuple[int, str]:
        """Answer messages until the conversation is over; return the code and the reason of the close frame."""
        bucket, loop = Bucket(), asyncio.get_running_loop()
        async for message in self._socket:
            if not bucket.take(loop.time()):
                log.warning("a WebSocket that sent too many messages was closed")
                metrics.CLIENTS_DROPPED.labels("messages").inc()
                return WSCloseCode.POLICY_VIOLATION, f"more than {MESSAGES_PER_SECOND} messages a second"
            match message.type:
                case WSMsgType.TEXT:
                    await self._answer(message.data)
                case WSMsgType.PING:
                    await self._socket.pong(message.data)
                case WSMsgType.BINARY:
                    return WSCloseCode.UNSUPPORTED_DATA, "a message must be a text frame"
        code = self._socket.close_code or WSCloseCode.OK  # 0: the peer sent none
        if code == WSCloseCode.ABNORMAL_CLOSURE or code > LAST_CODE:  # all other wrong codes are refused by aiohttp
            return WSCloseCode.PROTOCOL_ERROR, "no such close code"
        return code, ""

    async def _reply(self, frame: bytes) -> None:
        await self._socket.send_frame(frame, WSMsgType.TEXT)

    async def _answer(self, text: str) -> None:
        try:
            message: Any = parse(text)
        except InvalidEvent:
            return await self._reply(_error("a message must be JSON"))
        match message:
            case {"type": "ping"}:
                await self._reply(PONG)
            case {"type": "request_initial_data"}:
                await self._request_initial_data(message)
            case {"type": "subscribe"}:
                await self._subscribe(message)
            case {"type": str(kind)}:
                await self._reply(_error(f"unknown type {kind[:64]!r}: must be one of {', '.join(TYPES)}"))
            case _:
                await self._reply(_error('a message must be a JSON object, such as {"type":"ping"}'))

    async def _request_initial_data(self, message: dict[str, Any]) -> None:
        contract = self._request.app[INITIAL]
        if contract.topic not in self._topics:
            return await self._reply(_error(f"not shared: subscribe to {', '.join(self._topics)}"))
        topic = self._hub.topics[contract.topic]
        try:
            snapshot = await topic.snapshot()
        except DatabaseAway as away:
            return await self._reply(_error(str(away)))
        topic.overtake(self, snapshot)
        await self._reply(snapshot.frame(contract.framing({**self._request.query, **message})))

    async def _subscribe(self, message: dict[str, Any]) -> None:
        channel = message.get("channel")
        contract = self._request.app[CONTRACTS].get(channel) if isinstance(channel, str) else None
        if contract and contract.topic in self._topics:
            self._hub.subscribe(self, {contract.topic: text(contract.framing(message))})
            return await self._greet([contract.topic])
        names = message.get("topics")
        known = self._topics
        if not isinstance(names, list) or not all(isinstance(name, str) and name in known for name in names):
            return await self._reply(_error(f"topics: must be a list of {', '.join(known)}"))
        topics = list(dict.fromkeys(names))
        self._hub.subscribe(self, {name: text(_update(name)) for name in topics})
        await self._reply(msgspec.json.encode({"type": "subscribed", "topics": topics}))
        await self._greet(topics)

    async def _greet(self, topics: Iterable[str]) -> None:
        for name in topics:
            with suppress(DatabaseAway):  # the first broadcast after the outage sends it
                await self._hub.topics[name].greet(self)


def _check_handshake(request: web.Request) -> None:
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        raise BadRequest(426, "this is a WebSocket: connect with Upgrade: websocket")
    if not request._message.upgrade:
        raise BadRequest(400, "a WebSocket needs the header Connection: Upgrade, which a proxy may have taken away")
    if request.headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest(426, "only WebSocket version 13 is supported")
    origins = request.headers.getall("Origin", [])
    if len(origins) > 1 or len(request.headers.getall("Sec-WebSocket-Key", [])) > 1:
        raise BadRequest(400, "duplicate header")
    if not _is_key(request.headers.get("Sec-WebSocket-Key", "")):
        raise BadRequest(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    if origins and not (is_own(origins[0], request) or origins[0].lower() in request.app[SETTINGS].cors_origins):
        refusal = "refused a WebSocket from a page of %r: add the origin to CORS_ORIGINS to allow it"
        log.warning(refusal, origins[0][:200])
        raise BadRequest(403, "pages of this origin may not connect: add it to CORS_ORIGINS")


def _is_key(text: str) -> bool:
    """Whether aiohttp takes a key: it decodes leniently, but breaks over a key that is not ASCII."""
    try:
        return len(base64.b64decode(text)) == 16
    except ValueError:
        return False


async def close_all(hub: Hub) -> None:
    """Close every socket with 1001 (going away), and wait up to 2 s for the answers."""
    hub.close()
    sockets = list(hub.sockets)
    if sockets:
        goodbyes = [socket.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for socket in sockets]
        await asyncio.wait([asyncio.create_task(goodbye) for goodbye in goodbyes], timeout=CLOSE_SECONDS)
