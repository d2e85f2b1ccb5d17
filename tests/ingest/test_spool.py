"""The spool: what it acknowledged comes back, whatever the disk, the power or a neighbour does.

Faults are injected by giving spool.py and segments.py another `os`: a `Disk` passes every call on to the real one, and
its subclasses interfere.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from disks import Disk, drained, files, fill, give, into, opened, payloads
from folders import ROOT
from waiting import PATIENCE_SECONDS

from statsd.errors import Overloaded
from statsd.ingest import segments, spool

# What it does


async def test_replay_gives_back_what_was_appended_in_order(tmp_path: Path) -> None:
    sent = [b"{}", b"x" * segments.RECORD_BYTES, *payloads("a", 1200), b" \x00\n\x7f"]
    waiting = await opened(tmp_path / "data" / "spool")
    await waiting.append(sent[:1])
    await waiting.append(sent[1:])
    assert waiting.rows == len(sent)
    assert waiting.size == sum(path.stat().st_size for path in files(tmp_path, ".seg"))
    batches: list[list[bytes]] = []

    async def deliver(batch: list[bytes]) -> None:
        batches.append(batch)

    assert await waiting.replay(deliver, batch=500) == len(sent)
    assert [len(batch) for batch in batches] == [500, 500, 203]
    assert list(chain(*batches)) == sent
    assert (waiting.rows, waiting.size, files(tmp_path, ".seg")) == (0, 0, [])
    await waiting.close()


async def test_a_file_is_header_and_records_as_written_down(tmp_path: Path) -> None:
    await fill(tmp_path / "spool", [b"abc"], [b"d"])
    (path,) = files(tmp_path, ".seg")
    assert path.read_bytes() == (
        b"STSPOOL1" + int(path.stem).to_bytes(8, "big")
        + b"\xa5\x5a\x00\x00\x00\x03" + (0x45BCE840).to_bytes(4, "big") + b"abc"
        + b"\xa5\x5a\x00\x00\x00\x01" + (0x95E6631D).to_bytes(4, "big") + b"d"
    )  # fmt: skip
    assert path.name == f"{int(path.stem):016}.seg"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


async def test_files_rotate_and_the_oldest_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 200)
    batches = [payloads(f"b{i}", 3) for i in range(10)]
    await fill(tmp_path, *batches[:9], payloads("larger than a file", 20))
    assert len(files(tmp_path, ".seg")) == 6
    assert await drained(tmp_path) == [*chain(*batches[:9]), *payloads("larger than a file", 20)]


async def test_the_next_process_counts_what_waits(tmp_path: Path) -> None:
    before = time.time()
    await fill(tmp_path, payloads("a", 1000), payloads("b", 7))
    waiting = await opened(tmp_path)
    assert (waiting.rows, waiting.corrupt) == (1007, 0)
    assert waiting.size == files(tmp_path, ".seg")[0].stat().st_size
    assert 0 <= waiting.oldest_seconds <= time.time() - before + 0.001
    await waiting.close()


@pytest.mark.parametrize("payload", [b"", b"x" * (segments.RECORD_BYTES + 1), "é".encode(), segments.MARK])
async def test_a_payload_that_cannot_be_a_record_is_refused_with_its_batch(tmp_path: Path, payload: bytes) -> None:
    waiting = await opened(tmp_path)
    with pytest.raises(ValueError, match="1 to 1048576 bytes of ASCII"):
        await waiting.append([b"good", payload])
    assert (waiting.rows, files(tmp_path, ".seg")) == (0, [])
    await waiting.append([])
    assert files(tmp_path, ".seg") == []
    await waiting.close()


async def test_a_delivery_that_fails_loses_nothing(tmp_path: Path) -> None:
    waiting = await opened(tmp_path)
    await waiting.append(payloads("a", 5))
    taken: list[bytes] = []

    async def deliver(batch: list[bytes]) -> None:
        taken.extend(batch)
        if len(taken) > 2:
            raise ConnectionError("PostgreSQL went away again")

    with pytest.raises(ConnectionError):
        await waiting.replay(deliver, batch=2)
    await waiting.append(payloads("b", 2))
    assert waiting.rows == 7
    delivered: list[bytes] = []
    assert await waiting.replay(into(delivered)) == 7
    assert delivered == payloads("a", 5) + payloads("b", 2)
    await waiting.close()


async def test_what_arrives_during_a_replay_waits_for_the_next(tmp_path: Path) -> None:
    waiting = await opened(tmp_path)
    await waiting.append([b"first"])

    async def deliver(batch: list[bytes]) -> None:
        await waiting.append([b"second"])

    assert await waiting.replay(deliver) == 1
    assert waiting.rows == 1
    await waiting.close()
    assert await drained(tmp_path) == [b"second"]


async def test_a_file_deleted_by_hand_no_longer_waits(tmp_path: Path) -> None:
    await fill(tmp_path, [b"gone"])
    waiting = await opened(tmp_path)
    files(tmp_path, ".seg")[0].unlink()
    await waiting.append([b"there"])
    delivered: list[bytes] = []
    assert await waiting.replay(into(delivered)) == 1
    assert (delivered, waiting.rows) == ([b"there"], 0)
    await waiting.close()


class Slow(Disk):
    """A disk whose writes wait until they may go on."""

    def __init__(self) -> None:
        self.writes, self.goes_on = threading.Event(), threading.Event()

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "write":
            self.writes.set()
            self.goes_on.wait(PATIENCE_SECONDS)
        return super().call(name, *arguments, **options)


async def test_a_cancelled_caller_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = await opened(tmp_path)
    slow = Slow()
    give(monkeypatch, slow)
    tasks = [asyncio.create_task(waiting.append(payloads(f"t{i}", 20))) for i in range(20)]
    await asyncio.to_thread(slow.writes.wait)
    for task in tasks[1::2]:
        task.cancel()
    slow.goes_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    acked = [payload for i, outcome in enumerate(outcomes) if outcome is None for payload in payloads(f"t{i}", 20)]
    assert 200 <= len(acked) < 400

    delivered: list[bytes] = []
    begun = asyncio.Event()

    async def deliver(batch: list[bytes]) -> None:
        delivered.extend(batch)
        begun.set()

    replay = asyncio.create_task(waiting.replay(deliver, batch=1))
    await begun.wait()
    replay.cancel()
    await waiting.append([b"last"])
    await asyncio.wait([replay])
    await waiting.close()
    assert replay.cancelled()
    assert {*delivered, *await drained(tmp_path)} >= {b"last", *acked}


async def test_contains_knows_what_waits_and_only_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 3 << 20)
    waiting = await opened(tmp_path)
    for i in range(4):
        await waiting.append([b"x" * (segments.RECORD_BYTES - 20), f"needle-{i}".encode(), b"y" * 1000])
    assert [await waiting.contains(f"needle-{i}".encode()) for i in range(5)] == [True] * 4 + [False]
    await waiting.replay(into([]))
    assert not await waiting.contains(b"needle-0")
    await waiting.close()


async def test_contains_sees_across_its_reading_steps(tmp_path: Path) -> None:
    waiting = await opened(tmp_path)
    for shift in range(40):  # the first step of 1 MiB ends inside the id
        await waiting.append(
            [b"x" * ((1 << 20) - segments.HEADER_BYTES - 2 * segments.FRAME.size - shift), b"the-id" * 6]
        )
        assert await waiting.contains(b"the-id" * 6)
        await waiting.replay(into([]))
    await waiting.close()


# Full


async def test_a_full_spool_takes_nothing_of_the_batch(tmp_path: Path) -> None:
    waiting = await opened(tmp_path, max_bytes=1000)
    await waiting.append([b"x" * 900])
    with pytest.raises(spool.SpoolFull, match="of 1000 bytes wait") as refused:
        await waiting.append([b"y", b"z" * 100])
    assert isinstance(refused.value, Overloaded)
    assert refused.value.retry_after == 5
    await waiting.append([b"y"])
    delivered: list[bytes] = []
    await waiting.replay(into(delivered))
    assert delivered == [b"x" * 900, b"y"]
    await waiting.append([b"z" * 900])
    await waiting.close()


async def test_a_disk_that_must_stay_free_is_left_alone(tmp_path: Path) -> None:
    waiting = await opened(tmp_path, min_free=1 << 60)
    with pytest.raises(spool.SpoolFull, match="must stay free"):
        await waiting.append([b"x"])
    assert (waiting.rows, files(tmp_path, ".seg")) == (0, [])
    await waiting.close()


@contextmanager
def small_files(_: Path) -> Iterator[None]:
    """No file of this process gets larger than 100 KB. It must end with the test: pytest writes to files, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_file_system(folder: Path) -> Iterator[None]:
    """The folder has 200 KiB; for who may not mount, small files stand for that."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        with small_files(folder):
            yield
        return
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("small", [small_file_system, small_files])
async def test_a_disk_that_is_really_full_costs_only_the_refused(
    tmp_path: Path, small: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with small(tmp_path):
        waiting = await opened(tmp_path)
        acked: list[bytes] = []
        refused = 0
        for i in range(300):
            batch = [f"{i}-{j}-".encode() + b"x" * 100 for j in range(10)]
            try:
                await waiting.append(batch)
                acked += batch
            except spool.SpoolFull:
                refused += 1
        assert refused and len(acked) > 900
        assert waiting.rows == len(acked)
        delivered: list[bytes] = []
        await waiting.replay(into(delivered))
        assert delivered == acked
        await waiting.append([b"free again"])
        await waiting.close()
        assert await drained(tmp_path) == [b"free again"]


# Processes

WRITER = """
import asyncio, sys
from pathlib import Path
from typing import Any
from statsd.ingest import spool

async def main():
    waiting = spool.Spool(Path(sys.argv[1]), min_free=0)
    await waiting.open()
    for number in range(int(sys.argv[2])):
        await waiting.append([f"{sys.argv[3]}-{number}-{i}".encode() for i in range(3)])
        print(number, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def writer(folder: Path, batches: int, tag: str) -> subprocess.Popen[str]:
    """Another process that appends, prints each batch it was acknowledged, and then stays until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(batches), tag],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> str:
    """End the process at once; what it still said."""
    process.send_signal(signal.SIGKILL)
    return process.communicate()[0]


async def test_a_killed_process_leaves_all_it_acknowledged(tmp_path: Path) -> None:
    acked = set()
    for round_ in range(3):
        process = writer(tmp_path, 1_000_000, f"round{round_}")
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(50 * round_ + 20)]
        lines += kill(process).splitlines()
        acked |= {f"round{round_}-{int(line)}-{i}".encode() for line in lines for i in range(3)}
    found = await drained(tmp_path)
    assert acked <= set(found)
    assert len(found) == len(set(found))
    assert len(list(tmp_path.glob("room-*"))) == 1  # each took over the slot of the one before


async def test_neighbours_leave_each_other_alone_until_one_is_gone(tmp_path: Path) -> None:
    process = writer(tmp_path, 2, "neighbour")
    assert process.stdout
    assert [process.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
    waiting = await opened(tmp_path)
    assert waiting.rows == 0
    await waiting.append([b"mine"])
    delivered: list[bytes] = []
    assert await waiting.replay(into(delivered)) == 1
    assert len(files(tmp_path, ".seg")) == 1
    assert await waiting.contains(b"neighbour-1-2")

    kill(process)
    third = await opened(tmp_path)  # takes the free slot and what is in it
    assert (third.rows, waiting.rows) == (6, 0)
    assert await waiting.replay(into(delivered)) == 0
    await third.close()
    assert await waiting.replay(into(delivered)) == 6
    assert delivered == [b"mine", *(f"neighbour-{n}-{i}".encode() for n in range(2) for i in range(3))]
    fourth = await opened(tmp_path)  # a drained slot is left to newcomers
    assert len(list(tmp_path.glob("room-*"))) == 2
    await fourth.close()
    await waiting.close()
