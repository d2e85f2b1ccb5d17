"""The channel between servers: it outlives whatever happens to its connection, and says so in a few lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from outside import Outside
from waiting import PATIENCE_SECONDS, until

from statsd.app import cancel
from statsd.database.pool import open_pool
from statsd.live import channel
from statsd.live.channel import APPLICATION_NAME, Channel

GARBLED = b"A\x00\x00\x00\x04Z\x00\x00\x00\x05I"  # what asyncpg raises then is of no kind that a list would name


class Gate:
    """Stands before a server: passes everything on, or (`shut`) hangs up, or (`garbling`) answers LISTEN wrongly."""

    def __init__(self, dsn: str) -> None:
        self._behind = urlsplit(dsn)
        self.mode = "open"
        self.callers = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.dsn = self._behind._replace(netloc=f"statsd@127.0.0.1:{port}").geturl()

    async def close(self) -> None:
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers += 1
        if self.mode == "shut":
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        self._writers |= {writer, inner_writer}
        await asyncio.gather(self._pass_on(reader, inner_writer, writer), self._pass_on(inner_reader, writer, writer))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                if self.mode == "garbling" and b"LISTEN" in part:
                    client.write(GARBLED)
                    continue
                writer.write(part)
        writer.close()


@pytest.fixture
async def gate(outside: Outside) -> AsyncIterator[Gate]:
    await (await outside.ready()).close()
    made = Gate(outside.dsn)
    await made.listen()
    yield made
    await made.close()


class Listening:
    """A channel that listens through the gate, while it speaks past it."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[Any]) -> None:
        self.channel = Channel(dsn, pool)
        self.heard: list[str | None] = []
        self.tasks = [
            asyncio.create_task(self.channel.listen(self.heard.append)),
            asyncio.create_task(self.channel.run()),
        ]


@pytest.fixture
async def listening(gate: Gate, outside: Outside) -> AsyncIterator[Listening]:
    async with await open_pool(outside.dsn) as pool:
        made = Listening(gate.dsn, pool)
        yield made
        for task in made.tasks:
            await cancel(task)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.name == "statsd.channel" and one.levelno >= logging.WARNING]


@pytest.mark.parametrize("trouble", ["shut", "garbling"])
async def test_absence_is_said_once_however_often_it_is_tried_and_so_is_its_end(
    gate: Gate, listening: Listening, trouble: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "RETRY_SECONDS", 0.01)
    await listening.channel.listening.wait()
    gate.mode = trouble
    gate.hang_up()
    await until(lambda: gate.callers > 10)
    assert not listening.channel.listening.is_set()
    (said,) = complaints(caplog)
    assert said.startswith("not listening for changes, trying again: ")
    gate.mode = "open"
    await listening.channel.listening.wait()
    assert complaints(caplog) == [said, "listening for changes again"]
    assert listening.heard == [None]


async def test_what_is_announced_is_heard_and_a_heartbeat_is_not(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    """Of oneself or of another server."""
    monkeypatch.setattr(channel, "HEARTBEAT_SECONDS", 0.01)
    await listening.channel.listening.wait()
    connection = await outside.ready()
    beats: list[str] = []
    await connection.add_listener(channel.NAME, lambda _c, _pid, _channel, payload: beats.append(payload))
    await until(lambda: len(beats) > 5)
    listening.channel.announce("logins")
    await until(lambda: listening.heard)
    assert listening.heard == ["logins"]
    assert complaints(caplog) == []
    await connection.close()


async def test_what_came_to_this_server_is_heard_even_while_it_does_not_listen(
    gate: Gate, listening: Listening
) -> None:
    await listening.channel.listening.wait()
    gate.mode = "shut"
    gate.hang_up()
    await until(lambda: not listening.channel.listening.is_set())
    listening.channel.announce("logins")
    await until(lambda: "logins" in listening.heard)


async def test_listening_connection_is_known_by_its_name(listening: Listening, outside: Outside) -> None:
    await listening.channel.listening.wait()
    connection = await outside.ready()
    names = await connection.fetch("select query from pg_stat_activity where application_name = $1", APPLICATION_NAME)
    assert [row["query"] for row in names] == ['LISTEN "statsd"']
    await connection.close()


async def test_announcement_under_way_when_it_is_cancelled_is_sent_by_flush(pool: Any, database_url: str) -> None:
    """As at the end of a command: its NOTIFY waits for a connection, and the task is cancelled."""
    sender, heard = Channel(database_url, pool), asyncio.Event()
    listener = await asyncpg.connect(database_url)
    await listener.add_listener(channel.NAME, lambda *told: heard.set() if told[-1] == "logins" else None)
    async with AsyncExitStack() as taken:
        for _ in range(pool.get_max_size()):
            await taken.enter_async_context(pool.acquire())
        announcing = asyncio.create_task(sender.run())
        sender.announce("logins")
        await until(lambda: not sender._changed)
        await cancel(announcing)
    await sender.flush()
    await asyncio.wait_for(heard.wait(), PATIENCE_SECONDS)
    await listener.close()
