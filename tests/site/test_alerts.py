"""Alerts: sent once when something is wrong and once when it is well again, to receivers that may be down or hang."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook
from waiting import until

from statsd import settings
from statsd.database.pool import POOL
from statsd.errors import SettingsError
from statsd.ingest import outage
from statsd.ingest.outage import OUTAGE
from statsd.site import alerts, readings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
LETTER = "insert into dead_letters values ('30f6df32-03cf-4779-833b-aef9b1e3f61f', 'logins', '', '', '')"

Start = Callable[..., Awaitable[Any]]


class Receiver:
    """Takes alerts, and answers what `answers` says; then 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int | asyncio.Event] = []
        self.endless: asyncio.Event | None = None  # the end of a body that never ends before
        self.elsewhere = 0
        self.url = ""

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [(message["alert"], message["state"]) for _, body in self.requests for message in (json.loads(body),)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        if self.endless:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
            await self.endless.wait()
            return response
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            answer = 200
        return web.Response(status=answer, headers={"Location": "/elsewhere"} if answer == 302 else {})

    async def redirected(self, _: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taking = Receiver()
    app = web.Application()
    app.router.add_post("/alerts", taking.take)
    app.router.add_route("*", "/elsewhere", taking.redirected)
    async with TestServer(app) as server:
        taking.url = str(server.make_url("/alerts"))
        yield taking


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks and pauses of milliseconds, in place of seconds; and patience with a busy machine."""
    monkeypatch.setattr(outage, "PROBE_SECONDS", 10.0)
    monkeypatch.setattr(readings, "CHECK_SECONDS", 10.0)
    monkeypatch.setattr(alerts, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(alerts, "CALM_SECONDS", 0.05)
    monkeypatch.setattr(alerts, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(readings, "FRESH_SECONDS", 0.0)


def arrived(receiver: Receiver, *messages: tuple[str, str]) -> Callable[[], bool]:
    return lambda: set(messages) <= set(receiver.messages)


async def test_alert_is_sent_once_when_it_begins_and_once_when_it_has_ended(
    start: Start, receiver: Receiver, pool: Any
) -> None:
    client = await start(alert_url=receiver.url, alert_secret=settings.webhook_secret(SECRET), spool_min_free=0)
    await pool.execute(LETTER)
    await until(arrived(receiver, ("dead_letters", "began")))
    checks = client.app[readings.READINGS]
    for _ in range(10):
        await checks.take()  # each check of the alerts takes one, too
    await pool.execute("delete from dead_letters")
    await until(arrived(receiver, ("dead_letters", "ended")))
    assert receiver.messages == [("dead_letters", "began"), ("dead_letters", "ended")]
    (headers, body), (_, end) = receiver.requests
    assert Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    assert headers["Content-Type"] == "application/json"
    began, ended = json.loads(body), json.loads(end)
    assert began["text"].startswith("statsd-live on ")
    assert began["text"].endswith(": 1 accepted events were refused by PostgreSQL (dead letters)")
    assert ended["text"].endswith(": no dead letters are left")
    assert began["since"] == ended["since"] <= ended["timestamp"]


async def test_receiver_that_is_down_gets_the_same_message_later(start: Start, receiver: Receiver, pool: Any) -> None:
    receiver.answers = [500, 302, 503]
    await start(alert_url=receiver.url, alert_secret=settings.webhook_secret(SECRET), spool_min_free=0)
    await pool.execute(LETTER)
    await until(lambda: len(receiver.requests) == 4)
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert len({body for _, body in receiver.requests}) == 1
    assert receiver.elsewhere == 0  # the redirect was not followed
    await pool.execute("delete from dead_letters")
    await until(arrived(receiver, ("dead_letters", "ended")))
    assert len(receiver.requests) == 5


async def test_receiver_that_is_down_for_good_is_given_up(
    start: Start, receiver: Receiver, pool: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "GIVE_UP_SECONDS", 0.1)
    url = "http://127.0.0.1:1/secret-path"
    client = await start(alert_url=url, spool_min_free=0)
    await pool.execute(LETTER)
    await until(lambda: "was not delivered" in caplog.text)
    assert "ClientConnectorError" in caplog.text
    assert "secret-path" not in caplog.text
    assert (await client.post("/logins", json=LOGIN)).status == 201


async def test_receiver_that_hangs_delays_no_other_alert_and_no_stop(
    start: Start, receiver: Receiver, pool: Any
) -> None:
    receiver.answers = [forever := asyncio.Event()]
    client = await start(alert_url=receiver.url, spool_min_free=0)
    await pool.execute(LETTER)
    await until(arrived(receiver, ("dead_letters", "began")))
    client.app[POOL].terminate()
    await until(arrived(receiver, ("database_away", "began")))
    async with asyncio.timeout(5):
        await client.close()
    forever.set()


async def test_answer_without_an_end_is_an_answer(start: Start, receiver: Receiver, pool: Any) -> None:
    receiver.endless = asyncio.Event()
    await start(alert_url=receiver.url, spool_min_free=0)
    await pool.execute(LETTER)
    await until(arrived(receiver, ("dead_letters", "began")))
    await pool.execute("delete from dead_letters")
    await until(arrived(receiver, ("dead_letters", "ended")))
    assert len(receiver.requests) == 2
    receiver.endless.set()


async def test_restart_repeats_nothing(start: Start, receiver: Receiver, pool: Any, folder: Any) -> None:
    first = await start(alert_url=receiver.url, spool_min_free=0)
    await pool.execute(LETTER)
    await until(arrived(receiver, ("dead_letters", "began")))
    await until((folder / "alerts.json").exists)
    await first.close()
    await start(alert_url=receiver.url, spool_min_free=0)
    await pool.execute("delete from dead_letters")
    await until(arrived(receiver, ("dead_letters", "ended")))
    assert receiver.messages == [("dead_letters", "began"), ("dead_letters", "ended")]


async def test_stream_that_is_silent_is_an_alert_if_it_ever_had_an_event(
    start: Start, receiver: Receiver, pool: Any, folder: Any
) -> None:
    hour_ago = datetime.fromtimestamp(time.time() - 3_600, UTC)
    await pool.execute("insert into stream_moments values ('logins', $1)", hour_ago)
    (folder / "alerts.json").write_text('{"silent_logins":1764300000.0}')  # as an earlier process left it
    client = await start(alert_url=receiver.url, alert_silent_minutes=10, spool_min_free=0)
    checks = client.app[readings.READINGS]
    reading = await checks.take()
    now = time.time()
    assert alerts.silences(reading, 10, now, ()) == {"silent_logins": ""}  # nobody was there to hear it
    said = alerts.silences(reading, 10, now - 3_600, ())["silent_logins"]
    assert said.startswith("logins has had no event since 20")
    assert alerts.silences(reading, 10, now, ("silent_logins",)) == {"silent_logins": said}  # nor after a restart
    assert alerts.silences(reading, 90, now - 3_600, ()) == {"silent_logins": ""}
    assert alerts.silences(reading, 0, now - 3_600, ()) == {}
    assert (await client.post("/logins", json=LOGIN)).status == 201
    assert alerts.silences(await checks.take(), 10, now - 3_600, ("silent_logins",)) == {"silent_logins": ""}
    await until(arrived(receiver, ("silent_logins", "ended")))
    assert receiver.messages == [("silent_logins", "ended")]


async def test_full_spool_full_disk_and_damaged_files_are_alerts(start: Start, receiver: Receiver, folder: Any) -> None:
    client = await start(alert_url=receiver.url, spool_min_free=1 << 40, spool_max_bytes=1 << 20)
    await until(arrived(receiver, ("disk_nearly_full", "began")))
    (folder / "spool/room-0/1.corrupt").write_bytes(b"x")
    await until(arrived(receiver, ("corrupt_files", "began")))
    (folder / "spool/room-0/1.corrupt").unlink()
    await until(arrived(receiver, ("corrupt_files", "ended")))
    spool = client.app[OUTAGE].spool
    spool._min_free = 0
    client.app[POOL].terminate()
    while spool.size <= spool.max_bytes / 2:
        async with client.post("/logins", json=[LOGIN] * 500) as response:
            assert response.status == 202
    await until(arrived(receiver, ("spool_half_full", "began"), ("database_away", "began")))


@pytest.mark.parametrize(
    "url",
    [
        "stats.example",
        "ftp://example.org",
        "http://",
        "http://a:b@example.org/",
        "http://h:x/",
        "http://[::1",
        "http://a b/",
    ],
)
def test_url_that_is_none_is_refused_at_the_start_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"STATS_ALERT_URL: must be the URL of a receiver") as caught:
        settings.load(None, {"STATS_ALERT_URL": url})
    assert url not in str(caught.value)
