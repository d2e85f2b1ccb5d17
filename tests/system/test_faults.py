"""The fault matrix: whatever breaks under load, each acknowledged event of every stream is stored once and counted.

`python -m statsd prove` makes the same faults, in random order and for as long as one likes.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from waiting import missing, until

from statsd.prove.audit import audit
from statsd.prove.faults import FAULTS, LONG_FREEZE_SECONDS
from statsd.prove.ledger import Ledger
from statsd.prove.load import Load
from statsd.prove.scratch import Scratch, scratch
from statsd.streams import STREAMS

EVENTS = 300  # acknowledged before a fault, and after it

SPOOLED = {
    *("kill_database", "kill_program_in_replay", "kill_database_in_replay", "kill_both_in_replay"),
    *("freeze_database", "take_connections", "make_read_only", "lock_tables"),
    *("fill_database_disk", "fill_spool", "litter_spool", "turn_clock"),
}
"""Faults in which some events must wait on disk: a fault that the server did not notice proves nothing."""
REFUSED = {"fill_spool_disk", "fill_both_disks", "fill_spool"}
"""Faults in which some requests must be refused, because nothing could keep their events."""


@pytest.fixture(scope="module")
def broken() -> Iterator[Scratch]:
    with scratch() as made:
        yield made


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.seconds < LONG_FREEZE_SECONDS])
async def test_fault_loses_and_doubles_nothing(broken: Scratch, name: str) -> None:
    if lack := FAULTS[name].lacks(broken):
        pytest.skip(lack) if os.geteuid() else missing(lack)
    if not broken.addresses:
        await broken.start()
    load = Load(broken.addresses)
    await load.prepare()
    said, spooled = broken.log().stat().st_size, await spooled_by(broken)
    async with load.running() as ledger:
        await acknowledged(ledger, EVENTS)
        await FAULTS[name].run(broken)
        await acknowledged(ledger, EVENTS)
    await broken.settle()
    async with broken.connected() as connection:
        findings = await audit(connection, ledger)
    assert [finding for finding in findings if not finding.is_right] == []
    assert {finding.stream for finding in findings if finding.acknowledged} == {stream.name for stream in STREAMS}
    log = broken.log().read_text()[said:]
    assert "Traceback" not in log
    waited = "replayed from disk" in log or await spooled_by(broken) > spooled  # a new program counts from 0
    assert waited >= (name in SPOOLED), log
    assert bool(ledger.refused) >= (name in REFUSED)
    assert bool(list(broken.spool.glob("room-*/*.corrupt"))) >= (name == "litter_spool")
    assert (clock_span(log) > timedelta(hours=2.5)) == (name == "turn_clock")


async def spooled_by(broken: Scratch) -> float:
    """Return how many events the running program put on disk."""
    async with aiohttp.ClientSession() as session, session.get(f"{broken.address()}/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("statsd_events_total") and "spooled" in line
    )


def clock_span(log: str) -> timedelta:
    """Return how far the times of the log's lines are apart."""
    times = [datetime.fromisoformat(time) for time in re.findall(r"^\d{4}-\S+?(?=Z )", log, re.MULTILINE)]
    return max(times) - min(times) if times else timedelta()


async def test_flipped_and_cut_bytes_of_the_spool_cost_the_events_they_hit(broken: Scratch) -> None:
    """The events around them are stored, and the damaged file is kept."""
    if not broken.addresses:
        await broken.start()
    load = Load(broken.addresses)
    await load.prepare()
    async with load.running() as ledger:
        broken.signal_database(signal.SIGSTOP)
        await acknowledged(ledger, 2 * EVENTS)
        broken.signal_server(signal.SIGKILL)
        damaged = [damage(file) for file in broken.waiting_files()]
        broken.signal_database(signal.SIGCONT)
        await broken.start()
        await acknowledged(ledger, EVENTS)
    await broken.settle()
    async with broken.connected() as connection:
        findings = await audit(connection, ledger)
    assert damaged
    assert sum(finding.lost for finding in findings) <= 2 * len(damaged)
    assert [finding for finding in findings if finding.doubled or finding.differences or finding.unexpected] == []
    assert {file.with_suffix(".corrupt") for file in damaged} <= set(broken.spool.glob("room-*/*.corrupt"))


def damage(file: Path) -> Path:
    """Flip a byte in the middle of a file, and cut its last ones off."""
    content = bytearray(file.read_bytes()[:-7])
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    return file


async def acknowledged(ledger: Ledger, more: int) -> None:
    """Wait until so many more events are acknowledged, and some of every stream."""
    goal = ledger.acknowledged + more
    await until(lambda: ledger.acknowledged >= goal and len(ledger.accounts) == len(STREAMS))
