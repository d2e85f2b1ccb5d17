"""The demo: all streams with a month of history, which is stored once, in a database of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from program import Program
from recounts import differences
from waiting import until

from statsd.database import sql
from statsd.errors import SettingsError
from statsd.ingest import demo
from statsd.streams import STREAMS

NAMES = [stream.name for stream in STREAMS]
HISTORY = 500


@pytest.fixture(autouse=True)
def short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "HISTORY_EVENTS", HISTORY)


async def stored(pool: Any) -> int:
    return sum([await pool.fetchval(f"select count(*) from {sql.table(name)}") for name in NAMES])


async def finished(pool: Any) -> bool:
    return bool(await pool.fetchval(demo.QUERIES["is_finished"]))


async def test_demo_has_history_of_all_streams_and_goes_on_live(start: Any, pool: Any) -> None:
    client = await start(demo=True, generate_rate=50.0)
    await until(lambda: finished(pool))
    for name in NAMES:
        assert await pool.fetchval(f"select count(*) from {sql.table(name)}") > 5, name
    first, last = await pool.fetchrow("select min(login_time), max(login_time) from user_logins")
    now = datetime.now(UTC)
    assert now - timedelta(days=31) < first < now - timedelta(days=20)
    assert last <= now

    async def goes_on() -> bool:
        return await stored(pool) > HISTORY + 60

    await until(goes_on)
    assert (await (await client.get("/health")).json())["demo"] is True
    assert 'data-demo=""' in await (await client.get("/dashboard")).text()
    await client.close()
    assert await differences(pool, *NAMES) == []


async def test_restart_and_a_history_that_was_cut_off_add_no_event_twice(start: Any, pool: Any) -> None:
    for live in (1, 2, 3):
        expected = HISTORY + 10 + live  # with the first items that are transferred
        if live == 3:
            await pool.execute("delete from stream_moments where stream = 'demo history'")
            await pool.execute(
                "delete from page_events where id in (select id from page_events order by id desc limit 20)"
            )
        client = await start(demo=True, generate_rate=0.001)  # one live event at once, the next one much later

        async def has_begun(expected: int = expected) -> bool:
            return await finished(pool) and await stored(pool) >= expected

        await until(has_begun)
        await client.close()
        assert await stored(pool) == expected


async def test_database_with_real_events_is_no_demo(
    run: Callable[..., Program], start: Any, pool: Any, database_url: str
) -> None:
    client = await start()
    assert "demo" not in await (await client.get("/health")).json()
    view = {"site_id": "s", "event_type": "page_view", "path": "/", "timestamp": "2026-11-01T00:00:00Z"}
    assert (await client.post("/event", json=view)).status == 202
    program = run("serve", "--demo", "--port", "0", DATABASE_URL=database_url)
    assert await program.ended() == 3, program.stderr
    assert (
        program.stderr.strip().splitlines()[-1].startswith("statsd: STATS_DEMO: the database has events that are not")
    )
    assert "Traceback" not in program.stderr
    with pytest.raises(SettingsError):
        await demo.claim(pool)
    assert await stored(pool) == 1
