"""Health that is true: what /health, /readyz, /metrics and the log say while events cannot be stored."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from data_folders import only_as_root
from disks import fill_disk, small_disk
from outside import Outside
from waiting import until

from statsd.database.pool import POOL
from statsd.ingest.outage import OUTAGE
from statsd.site import readings

EVENT = {"site_id": "s", "event_type": "page_view", "path": "/", "user_id": "u", "timestamp": "2026-01-01T00:00:00Z"}
LONG = [{**EVENT, "path": f"/{number:04}/{'x' * 1_000}"} for number in range(300)]
"""A batch that needs more room than a table has left in its pages."""
NO_SPOOL = 1 << 40
"""So many bytes no disk has free: the spool refuses everything."""

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    with small_disk(folder / "disk", "150m") as path:
        yield path


@pytest.fixture
def crowded(disk: Path, cluster: Path) -> Iterator[Outside]:
    """A PostgreSQL on a disk that the test may fill."""
    server = Outside(disk, cluster)
    yield server
    server.stop()


async def health(client: Any) -> tuple[int, dict[str, Any]]:
    async with client.get("/health") as response:
        return response.status, await response.json()


async def ready(client: Any) -> tuple[int, dict[str, Any]]:
    async with client.get("/readyz") as response:
        return response.status, await response.json()


async def metrics(client: Any) -> dict[str, float]:
    async with client.get("/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in lines}


async def post(client: Any, body: object = EVENT) -> int:
    async with client.post("/event", json=body) as response:
        await response.read()
        return response.status


async def drained(client: Any) -> None:
    outage = client.app[OUTAGE]
    await until(lambda: not outage.away and not outage.spool.rows and not outage.refusal)


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if re.search(words, record.getMessage())]


@only_as_root
async def test_full_disk_of_the_database_is_degraded_and_logged_once(
    crowded: Outside, disk: Path, start: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await (await crowded.ready()).close()
    client = await start(database_url=crowded.dsn, data_dir=folder / "data", spool_min_free=0)
    assert (await health(client))[1]["status"] == "healthy"
    ballast = fill_disk(disk)
    assert await post(client, LONG) == 202
    await until(lambda: client.app[OUTAGE].away)
    posted = 300
    while client.app[OUTAGE].seconds < 1.5:  # while it replays and fails again and again
        assert await post(client, LONG[:20]) == 202
        posted += 20
        status, body = await health(client)
        assert (status, body["status"], body["success"], body["data"]["status"]) == (200, "degraded", True, "degraded")
        assert (body["database"], body["checks"]["database"]) == (True, "failing")
        assert body["reason"] == "events wait on disk: the database has a full disk"
    assert await ready(client) == (503, {"status": "not storing", "reason": body["reason"]})
    samples = await metrics(client)
    assert (samples["statsd_database_up"], samples["statsd_database_writable"], samples["statsd_outage"]) == (1, 0, 1)
    assert samples["statsd_spool_rows"] == posted
    ballast.unlink()
    await drained(client)
    assert [len(lines(caplog, words)) for words in ("is away", "wait on disk \\(", "is back")] == [1, 0, 1]
    assert (await health(client))[1]["status"] == "healthy"
    assert await ready(client) == (200, {"status": "ready"})
    async with client.get("/stats?site_id=s&date=2026-01-01") as response:
        assert (await response.json())["total_views"] == posted


@only_as_root
async def test_disk_and_spool_that_are_full_are_degraded_with_503_and_logged_once(
    crowded: Outside, disk: Path, start: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every event is refused: nothing waits in the spool that a replay could try, only the probe tells."""
    await (await crowded.ready()).close()
    client = await start(database_url=crowded.dsn, data_dir=folder / "data", spool_min_free=NO_SPOOL)
    assert (await health(client))[1]["status"] == "healthy"  # the row of the probe is there: to update it needs no room
    ballast = fill_disk(disk)
    assert await post(client, LONG) == 503
    while client.app[OUTAGE].seconds < 1.5:  # while it is probed again and again
        assert await post(client, LONG) == 503
        status, body = await health(client)
        assert (status, body["status"], body["success"], body["database"]) == (503, "degraded", False, True)
        assert body["reason"].startswith("events are refused: the database has a full disk; spool: ")
    assert await ready(client) == (503, {"status": "not storing", "reason": body["reason"]})
    assert len(lines(caplog, "not stored")) <= 1
    assert [len(lines(caplog, words)) for words in ("is away", "wait on disk \\(", "is back")] == [1, 0, 0]
    samples = await metrics(client)
    assert samples['statsd_refusals_total{reason="spool_full"}'] >= 10
    ballast.unlink()
    await drained(client)
    assert len(lines(caplog, "is back")) == 1
    assert await ready(client) == (200, {"status": "ready"})
    assert await post(client, LONG) == 202
    assert (await health(client))[1]["status"] == "healthy"


async def test_read_only_database_is_degraded_before_an_event_finds_out(
    outside: Outside, start: Start, folder: Path
) -> None:
    admin = await outside.ready()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    await admin.execute("alter system set default_transaction_read_only = on")
    await admin.execute("select pg_reload_conf()")

    async def degraded() -> bool:
        return (await health(client))[1]["status"] == "degraded"

    await until(degraded)
    status, body = await health(client)
    assert (status, body["reason"]) == (200, "events would wait on disk: the database is read-only")
    assert (await ready(client))[0] == 503
    assert await post(client) == 202
    assert (await health(client))[1]["reason"] == "events wait on disk: the database is read-only"
    await admin.execute("set default_transaction_read_only = off")
    await admin.execute("alter system reset default_transaction_read_only")
    await admin.execute("select pg_reload_conf()")
    await admin.close()
    await drained(client)
    assert (await health(client))[1]["status"] == "healthy"


async def test_connection_limit_is_said(outside: Outside, start: Start, folder: Path) -> None:
    admin = await outside.ready()
    await admin.execute("create role guest login connection limit 2")
    await admin.execute("grant all on schema public to guest")
    guest = outside.dsn.replace("statsd@", "guest@")
    client = await start(database_url=guest, data_dir=folder / "data", spool_min_free=0)
    await until(client.app[POOL].get_idle_size)
    await admin.execute("alter role guest connection limit 0")
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guest'")
    assert await post(client) == 202
    status, body = await health(client)
    assert (status, body["status"], body["database"]) == (503, "unhealthy", False)
    assert body["reason"] == "events wait on disk: the database has no connection left"
    await admin.execute("alter role guest connection limit 20")
    await admin.close()
    await drained(client)
    assert (await health(client))[1]["status"] == "healthy"


async def test_lock_on_one_table_is_degraded_until_its_rows_are_stored(
    outside: Outside, start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statsd.ingest.outage.PROBE_SECONDS", 10.0)  # on a busy machine, too, the database answers
    admin = await outside.ready()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    lock = admin.transaction()
    await lock.start()
    await admin.execute("lock table page_days")
    assert await post(client) == 202
    body = (await health(client))[1]
    assert body["status"] == "degraded"
    assert body["reason"] == "events of pageviews wait on disk, for a lock or behind others"
    await lock.rollback()
    await admin.close()
    await drained(client)
    assert (await health(client))[1]["status"] == "healthy"


async def test_scrape_of_a_frozen_database_answers_within_three_seconds(
    outside: Outside, start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readings.CHECK_SECONDS <= 2
    monkeypatch.setattr(readings, "CHECK_SECONDS", 0.5)  # the rest of three seconds is for a busy machine
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)

    async def is_up() -> bool:
        return (await metrics(client))["statsd_database_up"] == 1

    await until(is_up)
    outside.signal(signal.SIGSTOP)
    async with asyncio.timeout(3):
        samples = await metrics(client)
    assert (samples["statsd_database_up"], samples["statsd_database_writable"]) == (0, 0)
    assert samples["statsd_dead_letters"] != samples["statsd_dead_letters"]  # not a number: unknown
    outside.signal(signal.SIGCONT)
    await until(is_up)
    samples = await metrics(client)
    assert samples["statsd_database_bytes"] > 1 << 20
