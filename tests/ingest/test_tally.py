"""What the log says about events: nothing while there are none, else one line of all streams in ten seconds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from waiting import until

from statsd.ingest import tally
from statsd.ingest.tally import Tally, log_sum, log_sums


@pytest.fixture
def tallies() -> tuple[Tally, Tally]:
    return Tally("logins"), Tally("webhooks")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "INFO"]


async def test_sum_is_one_line_of_all_streams(tallies: tuple[Tally, Tally], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "statsd.ingest")
    logins, webhooks = tallies
    for _ in range(5):
        logins.add(stored=100, duplicate=1)
        webhooks.add(stored=146, refused=0)
    webhooks.add(spooled=4, failed=2)
    log_sum(tallies, 10)
    assert lines(caplog) == [
        "Processing event: 1,234 in 10 s (logins 50/s, webhooks 73/s). Event inserted successfully: 1,230; "
        "logins: 5 duplicate; webhooks: 2 failed, 4 spooled"
    ]
    logins.add(stored=1)
    log_sum(tallies, 10)
    webhooks.add(refused=3)
    log_sum(tallies, 10)
    assert lines(caplog)[1:] == [
        "Processing event: 1 in 10 s (logins 0.1/s). Event inserted successfully: 1",
        "Processing event: 0 in 10 s. Event inserted successfully: 0; webhooks: 3 refused",
    ]


async def test_quiet_server_has_a_quiet_log(
    tallies: tuple[Tally, Tally], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "statsd.ingest")
    monkeypatch.setattr(tally, "SUM_SECONDS", 0.01)
    task = asyncio.create_task(log_sums(tallies))
    tallies[0].add(stored=7)
    await until(lambda: lines(caplog))
    tallies[0].add(stored=2)  # the last ones are not lost
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [line.split()[-1] for line in lines(caplog)] == ["7", "2"]


async def test_log_of_a_server_sums_what_it_stored(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "statsd.ingest")
    client = await start()
    view = {"site_id": "s", "event_type": "page_view", "path": "/", "timestamp": "2026-11-01T00:00:00Z"}
    for events in ([view] * 3, [view]):
        assert (await client.post("/event", json=events)).status == 202
    await client.close()
    (line,) = lines(caplog)
    assert line.startswith("Processing event: 4 in ")
    assert "(pageviews " in line
    assert line.endswith("Event inserted successfully: 4")
