"""The generator: realistic, repeatable, at the rate that was asked for, and exact whatever happens."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from waiting import until

from statsd.database import sql
from statsd.errors import DatabaseAway
from statsd.ingest.generator import Generator, WriterStore, store_fixtures
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import Writer
from statsd.stream import Row, Stream
from statsd.streams import STREAMS, logins, transfers


@pytest.fixture(scope="module")
def logins_of_a_month() -> list[Any]:
    rng = random.Random(11)
    return [logins.sample.sample(rng) for _ in range(20_000)]


def test_samples_pass_the_checks_clients_face(logins_of_a_month: list[Any]) -> None:
    assert not [faults for login in logins_of_a_month if (faults := logins.event.check(login))]


def test_devices_regions_and_browsers_have_their_weights(logins_of_a_month: list[Any]) -> None:
    devices = Counter(login.device_type for login in logins_of_a_month)
    assert [device for device, _ in devices.most_common()] == ["Mobile", "Desktop", "Tablet"]
    assert Counter(login.region for login in logins_of_a_month).most_common(1)[0][0] == "USA"
    assert not [login for login in logins_of_a_month if login.browser == "Opera" and login.device_type == "Tablet"]


def test_session_lengths_are_log_normal(logins_of_a_month: list[Any]) -> None:
    """A long tail to the right: the mean lies well above the median."""
    seconds = [login.session_duration_seconds for login in logins_of_a_month if login.session_duration_seconds]
    assert statistics.mean(seconds) > 1.3 * statistics.median(seconds)


def test_users_return_and_keep_their_region(logins_of_a_month: list[Any]) -> None:
    regions: dict[int, set[str]] = {}
    for login in logins_of_a_month:
        regions.setdefault(login.user_id, set()).add(login.region)
    assert len(regions) < len(logins_of_a_month) / 3
    assert all(len(found) == 1 for found in regions.values())


def test_days_have_a_rhythm_and_lie_in_the_last_30(logins_of_a_month: list[Any]) -> None:
    hours = Counter(login.login_time.hour for login in logins_of_a_month)
    assert max(hours.values()) > 2 * min(hours.values())
    now = datetime.now(UTC)
    assert all(now - timedelta(days=30, minutes=5) < login.login_time <= now for login in logins_of_a_month)


def test_days_are_alike_whatever_the_time_is(logins_of_a_month: list[Any]) -> None:
    """Recent days have somewhat more, but none stands out; the last 24 hours are a day, too."""
    now = datetime.now(UTC)
    days = Counter((now - login.login_time).days for login in logins_of_a_month)
    assert sorted(days) == list(range(30))
    assert max(days.values()) < 1.5 * len(logins_of_a_month) / 30


def test_transfers_are_spread_too_and_none_is_before_its_item() -> None:
    rng = random.Random(5)
    made = {item.item_id: item.creation_time for item in (transfers.sample.sample_item(rng) for _ in range(1_000))}
    moved: list[Any] = [transfers.sample.sample_transfer(rng) for _ in range(4_000)]
    assert all(made[transfer.item_id] < transfer.time <= datetime.now(UTC) for transfer in moved)
    days = Counter((datetime.now(UTC) - transfer.time).days for transfer in moved)
    assert max(days.values()) < len(moved) / 4


async def test_rate_is_kept(pool: Any) -> None:
    writer = Writer(logins.STREAM, pool)
    writing = asyncio.create_task(writer.run())
    source = Generator([logins.STREAM], WriterStore({"logins": writer}), seed=1)
    start = time.monotonic()
    await source.at_rate(200, count=100)
    assert time.monotonic() - start > 0.35  # 100 at 200 a second, the first at once and in tenths of a second
    assert source.total == await pool.fetchval("select sum(logins)::int from login_devices") == 100
    writer.stop()
    await writing


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
async def test_bulk_stores_exactly_what_was_asked_for(pool: Any, stream: Stream) -> None:
    await store_fixtures(pool, stream)
    writer = Writer(stream, pool)
    writing = asyncio.create_task(writer.run())
    seen: list[int] = []
    source = Generator([stream], WriterStore({stream.name: writer}), seed=1, progress=seen.append)
    await source.in_bulk(12_345)
    writer.stop()
    await writing
    assert seen[-1] == source.total == await pool.fetchval(f"select count(*) from {sql.table(stream.name)}") == 12_345


class UnsureWriter(Writer):
    """A real writer whose first answer gets lost on the way: stored, but nobody can tell."""

    lost = False

    async def store(self, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().store(rows)
        if not self.lost:
            self.lost = True
            return [Verdict("refused", row, error=DatabaseAway("no answer")) for row in rows]
        return verdicts


async def test_events_whose_fate_is_unknown_go_again_and_count_once(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statsd.ingest.generator.RETRY_SECONDS", 0)
    writer = UnsureWriter(logins.STREAM, pool)
    writing = asyncio.create_task(writer.run())
    source = Generator([logins.STREAM], WriterStore({"logins": writer}), seed=1)
    await source.in_bulk(500)
    writer.stop()
    await writing
    assert source.total == await pool.fetchval("select count(*) from user_logins") == 500


async def test_generator_inside_serve_moves_the_numbers(start: Any) -> None:
    client = await start(generate_rate=50.0)

    async def total() -> int:
        return (await (await client.get("/logins/stats")).json())["totalSessions"]

    first = await until(total)
    await until(lambda: _more_than(total, first))


async def _more_than(total: Any, first: int) -> bool:
    return await total() > first
