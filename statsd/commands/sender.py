"""Generated events over HTTP: sent to a server until it has acknowledged them, each counted once."""

import asyncio
import logging
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from statsd.accounts.keys import TOKEN
from statsd.accounts.users import TAKEN as NAME_TAKEN
from statsd.errors import StatsError
from statsd.stream import Delivery, Stream

IN_FLIGHT = 16  # requests at a time
BATCH = 500  # events in a request, where it may have several
ANSWER_SECONDS = 20.0
RETRY_SECONDS = 0.5
LONGEST_PAUSE = 30.0  # that a server's Retry-After may ask for
PATIENCE_SECONDS = 60.0  # without any acknowledgement
LAST_SECONDS = 3.0  # for what is under way at Ctrl-C
WARNING_SECONDS = 3.0  # without an answer to a request
ACKNOWLEDGED = (200, 201, 202, 204)
LATER = (429, 502, 503, 504)
NEEDS_USER = "clicks are those of users: give the token that POST /login answers with --token or STATS_TOKEN"
REFUSALS = {
    401: "it asks who sends this: give an API token (token add) with --token or STATS_TOKEN",
    403: "the token is not for that, or the server is closed to this",
}

log = logging.getLogger("statsd.sender")


class Sender:
    """A store over HTTP. What is sent again keeps its keys, so that the server stores it once.

    Raises StatsError that says why the server does not take events.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._run = secrets.token_hex(4)
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._under_way: set[asyncio.Task[int]] = set()
        self._people: list[Mapping[str, Any]] = []  # whose events are sent, and their tokens
        self._tokens: list[str] = []
        self._acknowledged_at = 0.0
        self._warned = False  # since then
        self.stored = 0
        """Events that the server acknowledged."""
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(ANSWER_SECONDS),
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", "User-Agent": "statsd-live generate"},
        )
        try:
            await self._require_server()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the answers that are under way: the server may have stored those events."""
        if self._under_way:
            late = (await asyncio.wait(self._under_way, timeout=LAST_SECONDS))[1]
            for task in late:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._session.close()

    def keeps_time(self, stream: Stream) -> bool:
        return stream.wire.keeps_time

    async def prepare(self, streams: Sequence[Stream]) -> None:
        """Register the people whose events are sent, and send what samples of the streams refer to."""
        for stream in streams:
            for person in stream.wire.people if self._registers else ():
                self._people.append(person)
                self._tokens.append(await self._register(person))
            for delivery in stream.wire.fixtures(self._run):
                await self._deliver(delivery)

    @property
    def _registers(self) -> bool:
        """Whether people are registered: without a token, or with one of a program, which is nobody's."""
        return not self._token or self._token.startswith(TOKEN)

    async def store(self, stream: Stream, events: Sequence[Any], stored: Callable[[int], None]) -> None:
        chains: dict[Any, list[Delivery]] = defaultdict(list)
        for start in range(0, len(events), BATCH):
            for delivery in stream.wire.deliveries(events[start : start + BATCH], self._run):
                chains[id(delivery) if delivery.after is None else delivery.after].append(delivery)

        async def send(chain: Sequence[Delivery]) -> None:
            for delivery in chain:
                async with self._slots:
                    task = asyncio.create_task(self._counted(delivery))
                    self._under_way.add(task)
                    stored(await asyncio.shield(task))
                    self._under_way.discard(task)

        async with asyncio.TaskGroup() as group:
            for chain in chains.values():
                group.create_task(send(chain))

    async def _counted(self, delivery: Delivery) -> int:
        """Deliver events, and count those that are stored."""
        number = await self._deliver(delivery)
        self.stored += number
        return number

    async def _deliver(self, delivery: Delivery) -> int:
        """Send a request until it is acknowledged; return how many of its events the server has stored."""
        person = delivery.person if self._registers else None
        token = self._token if person is None else self._tokens[person]
        headers = {"Idempotency-Key": delivery.key} if delivery.key else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        status, answer = await self._request(delivery.method, delivery.path, delivery.body, headers)
        if status == 409:
            return 0  # the item has this owner already
        if status == 401 and person is not None:  # a session lasts for a day
            self._tokens[person] = await self._register(self._people[person])
            return await self._deliver(delivery)
        if status not in ACKNOWLEDGED:
            raise self._refusal(delivery.method, delivery.path, status, answer)
        self._acknowledged_at, self._warned = time.monotonic(), False
        refused = _refused(answer)
        self.refused += refused
        return delivery.events - refused

    async def _register(self, person: Mapping[str, Any]) -> str:
        """Register a user for this run, with a password that nobody knows; return the token."""
        while True:
            name = f"sample-{secrets.token_hex(4)}"
            account = {"username": name, "password": secrets.token_urlsafe(24), **person}
            status, answer = await self._request("POST", "/register", msgspec.json.encode(account), {})
            match status:
                case 201:
                    return str(answer["token"])
                case 403:
                    raise StatsError(f"{self._url} does not let anybody register, and {NEEDS_USER}")
                case 400 if _text(answer) == NAME_TAKEN:  # an answer got lost, and this is the second try
                    continue
            raise self._refusal("POST", "/register", status, answer)

    async def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Send a request until the server answers; return the status and the answer, as JSON where it is that."""
        began = time.monotonic()
        while True:
            try:
                status, answer, pause = await self._request_once(method, path, body, headers)
                if status not in LATER:
                    return status, answer
                reason = f"{status} {_text(answer)}"
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                reason, pause = _reason(error), RETRY_SECONDS
            if not self._warned and time.monotonic() - began > WARNING_SECONDS:
                self._warned = True
                log.warning("%s does not answer, trying again for %g s: %s", self._url, PATIENCE_SECONDS, reason)
            if time.monotonic() - max(began, self._acknowledged_at) > PATIENCE_SECONDS:
                raise StatsError(f"{self._url} has acknowledged nothing for {PATIENCE_SECONDS:g} s: {reason}")
            await asyncio.sleep(pause)

    async def _request_once(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any, float]:
        """Return the status, the answer, and the seconds to wait before another attempt."""
        async with self._session.request(
            method, self._url + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            text, wait = await response.text(errors="replace"), response.headers.get("Retry-After", "")
            if 300 <= response.status < 400 and "Location" in response.headers:
                parts = urlsplit(response.headers["Location"])
                raise StatsError(f"{self._url} redirects to {parts.scheme}://{parts.netloc}: give that address")
        pause = min(float(wait), LONGEST_PAUSE) if wait.isascii() and wait.isdigit() else RETRY_SECONDS
        try:
            return response.status, msgspec.json.decode(text), pause
        except msgspec.DecodeError:
            return response.status, text, pause

    async def _require_server(self) -> None:
        """Raise StatsError unless a statsd-live server answers."""
        try:
            status, answer, _ = await self._request_once("GET", "/livez", b"", {})
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
            raise StatsError(f"{self._url} cannot be reached: {_reason(error)}") from error
        if isinstance(answer, dict) and answer.get("status") == "alive":
            return
        if isinstance(answer, dict) and status in (401, 403, 421):
            raise self._refusal("GET", "/livez", status, answer)
        if status in LATER:
            raise StatsError(f"{self._url} takes no requests now: {status} {_text(answer)}")
        raise StatsError(
            f"{self._url} is not a statsd-live server: GET /livez answers {status} {_text(answer)}".strip()
        )

    def _refusal(self, method: str, path: str, status: int, answer: Any) -> StatsError:
        about = f"; {REFUSALS[status]}" if status in REFUSALS else ""
        return StatsError(f"{self._url} refused {method} {path}: {status} {_text(answer)}{about}")


def _refused(answer: Any) -> int:
    """Return how many events of a request the server refused."""
    if isinstance(answer, list):
        return sum("error" in row for row in answer)
    if not isinstance(answer, dict):
        return 0
    return len(answer.get("rejected") or (answer.get("data") or {}).get("rejected") or ())


def _text(answer: Any) -> str:
    """Return what an answer says, in a few words."""
    text = str(answer.get("error") or answer.get("message") or answer) if isinstance(answer, dict) else str(answer)
    return "(a web page)" if text.lstrip()[:1] == "<" else " ".join(text.split())[:160]


def _reason(error: BaseException) -> str:
    """Return why a server cannot be reached."""
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error}); SSL_CERT_FILE names further authorities"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"it does not speak TLS there: is it http://? ({error.os_error.strerror or error.os_error})"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"there is no host {error.host}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"{os.strerror(number) if number else error.os_error}; is the server running?"
    return str(error) or type(error).__name__
