"""Clients that use every way in: single events, batches and keys, all five streams.

A client that gives its events a key sends them again until they are acknowledged, and sometimes after that: they must
count once. A client without keys goes on to its next event.
"""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any
from uuid import uuid4

import aiohttp

from statsd.ingest.ids import id_of
from statsd.prove.ledger import Account, Ledger
from statsd.streams import transfers

BATCH = 20
REPEATED = 0.05  # of the acknowledged events with a key
ANSWER_SECONDS = 20.0
ACKNOWLEDGED, REFUSED = (200, 201, 202, 204), (429, 503)
SECONDS_PER_EVENT = 0.01  # of a client, between requests: all clients together send about 1,500 events a second
PAUSE_SECONDS = 0.05  # after an answer that asks for patience, or none
EVENTS_OF_A_CLIENT = 10_000_000
DAYS = 20
EPOCH, FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENTATION_NETWORK = int(IPv6Address("2001:db8::"))
PASSWORD = "correct horse"  # noqa: S105 - of accounts in the scratch database

_numbers = itertools.count()  # of clients, so that no two events of a process have the same mark


@dataclass(slots=True)
class Sending:
    """A request: its events' marks, and how its answer names their ids."""

    stream: str
    path: str
    body: Any
    marks: list[str]
    ids: Callable[[Any], Sequence[str]]
    headers: dict[str, str] = field(default_factory=dict)
    keyed: bool = False
    method: str = "POST"


class Client:
    """Sends the events of one way in, one request after the other."""

    def __init__(self, way: Callable[["Client"], Sending], addresses: Sequence[str], ledger: Ledger) -> None:
        self._way, self._addresses, self._ledger = way, addresses, ledger
        self._number = next(_numbers)
        self.rng = random.Random(self._number)
        self._events = itertools.count(self._number * EVENTS_OF_A_CLIENT)
        self._turns = itertools.count(self._number)
        self.name = f"prove-{self._number}"
        self.base_item = self.item = self.token = ""
        self.owners: list[str] = []
        self._stopping = False

    def next_event(self) -> int:
        """Return a number for an event that no other one has."""
        return next(self._events)

    def next_owner(self) -> str:
        """Return the owners in turn: no transfer is to the present owner, even if the one before was not stored."""
        return self.owners[next(self._turns) % len(self.owners)]

    async def prepare(self, owners: Sequence[str]) -> None:
        """Make the account, the base item and the item that events refer to."""
        self.owners = list(owners)
        async with _session() as session:
            if "click" in self._way.__name__:
                person = {"username": self.name, "password": PASSWORD, "age": 34, "gender": "Female"}
                self.token = (await self._made(session, "/register", person))["token"]
            if self._way.__name__.startswith(("item", "transfer")):
                self.base_item = (await self._made(session, "/base-items", {"description": self.name}))["id"]
            if self._way.__name__.startswith("transfer"):
                self.item = (await self._made(session, "/items", {"base_item_id": self.base_item}))["id"]

    async def _made(self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await made(session, self._addresses[0] + path, body)

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        """Send until `stop`."""
        async with _session() as session:
            while not self._stopping:
                sending = self._way(self)
                account = self._ledger.accounts[sending.stream]
                account.send(sending.marks)
                ids = await self._send(session, sending, account)
                while sending.keyed and ids is None and not self._stopping:
                    await asyncio.sleep(PAUSE_SECONDS)
                    ids = await self._send(session, sending, account)
                if ids is None:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                account.acknowledge(sending.marks, ids)
                if sending.keyed and self.rng.random() < REPEATED:
                    await self._repeat(session, sending, account, ids)
                await asyncio.sleep(SECONDS_PER_EVENT * len(sending.marks))

    async def _repeat(
        self, session: aiohttp.ClientSession, sending: Sending, account: Account, ids: Sequence[str]
    ) -> None:
        again = await self._send(session, sending, account)
        if again is not None and again != ids:
            account.unexpected["a repeat with other ids"] += 1

    async def _send(self, session: aiohttp.ClientSession, sending: Sending, account: Account) -> Sequence[str] | None:
        """Send a request once. Return the events' ids, as far as the answer has them; None if it was no success."""
        address = self._addresses[self.rng.randrange(len(self._addresses))]
        headers = sending.headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            async with session.request(
                sending.method, address + sending.path, json=sending.body, headers=headers
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        if response.status in ACKNOWLEDGED:
            ids = sending.ids(json.loads(answer) if answer else None)
            if ids and len(ids) != len(sending.marks):
                account.unexpected[f"{len(ids)} ids for {len(sending.marks)} events"] += 1
            return ids
        if response.status == 401 and self.token:
            await self._log_in(session, address)
        elif response.status in REFUSED:
            account.refused += 1
        elif (sending.stream, response.status) != ("transfers", 409):
            account.unexpected[f"{response.status}: {answer[:200].decode(errors='replace')}"] += 1
        return None

    async def _log_in(self, session: aiohttp.ClientSession, address: str) -> None:
        """Get a new token: one that was issued in the future counts only from then on."""
        try:
            async with session.post(f"{address}/login", json={"username": self.name, "password": PASSWORD}) as response:
                if response.status == 200:
                    self.token = (await response.json())["token"]
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass


class Load:
    """All clients, and what they sent."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.ledger = Ledger()
        self._addresses = addresses
        self._clients = [Client(way, addresses, self.ledger) for way in WAYS]

    async def prepare(self) -> None:
        async with _session() as session:
            owners = [await made(session, f"{self._addresses[0]}/owners", {"name": name}) for name in "ABCDE"]
        for client in self._clients:
            await client.prepare([owner["id"] for owner in owners])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ledger]:
        """Run the clients while the block runs; their last answers are awaited."""
        tasks = [asyncio.create_task(client.run()) for client in self._clients]
        try:
            yield self.ledger
        finally:
            for client in self._clients:
                client.stop()
            await asyncio.gather(*tasks)


async def made(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what was made by a POST, which is sent again while the server cannot answer."""
    while True:
        async with session.post(url, json=body) as response:
            if response.status in (200, 201):
                result: dict[str, Any] = await response.json()
                return result
            if response.status != 503:
                raise RuntimeError(f"{url}: {response.status} {await response.text()}")
        await asyncio.sleep(PAUSE_SECONDS)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_SECONDS))


# ---- the ways in


def page_view(client: Client) -> Sending:
    event, mark = _page_view(client)
    return Sending("pageviews", "/event", event, [mark], lambda answer: [answer["jobId"]])


def page_view_with_key(client: Client) -> Sending:
    event, mark = _page_view(client)
    key = {"Idempotency-Key": mark}
    return Sending("pageviews", "/event", event, [mark], lambda answer: [answer["jobId"]], key, keyed=True)


def page_views(client: Client) -> Sending:
    events, marks = zip(*(_page_view(client) for _ in range(BATCH)), strict=True)
    return Sending("pageviews", "/event", events, [*marks], lambda answer: answer["jobIds"])


def page_views_with_keys(client: Client) -> Sending:
    events, marks = zip(*(_page_view(client) for _ in range(BATCH)), strict=True)
    body = [event | {"event_id": mark} for event, mark in zip(events, marks, strict=True)]
    return Sending("pageviews", "/event", body, [*marks], lambda answer: answer["jobIds"], keyed=True)


def _page_view(client: Client) -> tuple[dict[str, Any], str]:
    """Return a page view, and its mark: its time, in microseconds."""
    number = client.next_event()
    time = FIRST_DAY + timedelta(days=number % DAYS, microseconds=number)
    event = {
        "site_id": f"site-{client.rng.randrange(4)}",
        "event_type": "page_view",
        "path": f"/{client.rng.randrange(9)}",
        "user_id": f"user-{client.rng.randrange(500)}",
        "timestamp": time.isoformat(),
    }
    return event, str((time - EPOCH) // timedelta(microseconds=1))


def webhook(client: Client) -> Sending:
    event, mark = _webhook(client)
    return Sending("webhooks", "/webhook", event, [mark], lambda answer: [answer["data"]["eventId"]])


def webhook_with_id(client: Client) -> Sending:
    event, mark = _webhook(client)
    key = {"webhook-id": mark}
    return Sending("webhooks", "/webhook", event, [mark], lambda answer: [answer["data"]["eventId"]], key, keyed=True)


def webhooks(client: Client) -> Sending:
    events, marks = zip(*(_webhook(client) for _ in range(BATCH)), strict=True)
    return Sending("webhooks", "/webhook", events, [*marks], lambda answer: answer["data"]["eventIds"])


def webhooks_with_id(client: Client) -> Sending:
    sending = webhooks(client)
    sending.headers, sending.keyed = {"webhook-id": sending.marks[0]}, True
    return sending


def _webhook(client: Client) -> tuple[dict[str, Any], str]:
    mark = str(client.next_event())
    event = {"eventType": f"type-{client.rng.randrange(20)}", "userId": "7", "metadata": {"mark": mark}}
    return event, mark


def login(client: Client) -> Sending:
    event = _login(client)
    return Sending("logins", "/logins", event, [event["ip_address"]], lambda answer: [answer["id"]])


def login_with_key(client: Client) -> Sending:
    sending = login(client)
    sending.headers, sending.keyed = {"Idempotency-Key": sending.marks[0]}, True
    return sending


def logins(client: Client) -> Sending:
    events = [_login(client) for _ in range(BATCH)]
    marks = [event["ip_address"] for event in events]
    return Sending("logins", "/logins", events, marks, lambda answer: [row["id"] for row in answer])


def _login(client: Client) -> dict[str, Any]:
    """Return a login; its address is its mark."""
    return {
        "user_id": client.rng.randrange(1, 900),
        "ip_address": str(IPv6Address(DOCUMENTATION_NETWORK + client.next_event())),
        "region": client.rng.choice(("Estonia", "Kenya", "Peru")),
        "device_type": client.rng.choice(("Desktop", "Mobile", "Tablet")),
        "browser": client.rng.choice(("Firefox", "Chrome")),
        "session_duration_seconds": client.rng.randrange(900),
    }


def click(client: Client) -> Sending:
    return Sending("usage", "/track", _click(client), [client.name], lambda answer: [answer["id"]])


def click_with_key(client: Client) -> Sending:
    sending = click(client)
    sending.headers, sending.keyed = {"Idempotency-Key": str(client.next_event())}, True
    return sending


def clicks(client: Client) -> Sending:
    body = [_click(client) for _ in range(BATCH)]
    return Sending("usage", "/track", body, [client.name] * BATCH, lambda answer: [row["id"] for row in answer])


def _click(client: Client) -> dict[str, Any]:
    return {"feature_name": f"feature-{client.rng.randrange(9)}"}


def item(client: Client) -> Sending:
    body = {"base_item_id": client.base_item}
    return Sending("items", "/items", body, [client.base_item], lambda answer: [answer["id"]])


def item_with_key(client: Client) -> Sending:
    sending = item(client)
    sending.headers, sending.keyed = {"Idempotency-Key": str(client.next_event())}, True
    return sending


def transfer(client: Client) -> Sending:
    """Only an answer from the spool has an id."""
    path, body = f"/items/{client.item}/ownership", {"to": client.next_owner()}
    return Sending("transfers", path, body, [client.item], _id_if_any, method="PUT")


def _id_if_any(answer: Any) -> list[str]:
    return [answer["id"]] if answer else []


def transfer_with_key(client: Client) -> Sending:
    sending, key = transfer(client), str(uuid4())
    id = str(id_of(transfers.TRANSFERS.name, key))
    sending.headers, sending.keyed, sending.ids = {"Idempotency-Key": key}, True, lambda answer: [id]
    return sending


WAYS = (
    *(page_view, page_view_with_key, page_views, page_views_with_keys),
    *(webhook, webhook_with_id, webhooks, webhooks_with_id),
    *(login, login_with_key, logins),
    *(click, click_with_key, clicks),
    *(item, item_with_key, transfer, transfer_with_key),
)
