"""The spool: what it acknowledged comes back, whatever the disk, the power or a neighbour does.

Faults are injected by giving spool.py and segments.py another `os`: a `Disk` passes every call on to the real one, and
its subclasses interfere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from statsd.errors import Overloaded
from statsd.ingest import segments, spool

READING = {"open", "read", "close", "stat", "statvfs", "scandir", "listdir"}
CHANGING = {"write", "ftruncate", "unlink", "rename", "mkdir", "fsync", "fdatasync"}


class Disk:
    """The `os` of spool.py without its syncs: they prove nothing to a test that survives, and cost most of its time."""

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self.call, name) if name in READING | CHANGING else getattr(os, name)

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        return None if name in ("fsync", "fdatasync") else getattr(os, name)(*arguments, **options)


def give(monkeypatch: pytest.MonkeyPatch, disk: Any) -> None:
    """Let the spool and its file format work on this disk."""
    for module in (segments, spool):
        monkeypatch.setattr(module, "os", disk)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, Disk())


async def opened(folder: Path, **options: int) -> spool.Spool:
    waiting = spool.Spool(folder, **{"min_free": 0} | options)
    await waiting.open()
    return waiting


async def fill(folder: Path, *batches: list[bytes]) -> None:
    waiting = await opened(folder)
    for batch in batches:
        await waiting.append(batch)
    await waiting.close()


def into(delivered: list[bytes]) -> Callable[[list[bytes]], Awaitable[None]]:
    async def deliver(batch: list[bytes]) -> None:
        delivered.extend(batch)

    return deliver


async def drained(folder: Path) -> list[bytes]:
    """What the next process finds; it must leave an empty spool that works."""
    delivered: list[bytes] = []
    waiting = await opened(folder)
    await waiting.replay(into(delivered))
    await waiting.append([b"after"])
    last: list[bytes] = []
    assert (waiting.rows, await waiting.replay(into(last))) == (1, 1)
    assert last == [b"after"]
    assert (waiting.rows, waiting.size, waiting.oldest_seconds) == (0, 0, 0.0)
    assert files(folder, ".seg") == []
    await waiting.close()
    return delivered


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix == suffix)


def payloads(tag: str, number: int) -> list[bytes]:
    return [f'{{"id":"{tag}-{i}"}}'.encode() for i in range(number)]


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


async def test_a_cancelled_caller_disturbs_nobody(tmp_path: Path) -> None:
    waiting = await opened(tmp_path)
    tasks = [asyncio.create_task(waiting.append(payloads(f"t{i}", 20))) for i in range(20)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks[1::2]:
        task.cancel()
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


@pytest.fixture(params=["tmpfs", "limit"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder in which the kernel refuses soon: a file system of 200 KiB, or (who may not mount) files of 100 KB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    if request.param == "tmpfs" and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        yield tmp_path
        subprocess.run(["umount", str(tmp_path)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_is_really_full_costs_only_the_refused(small_disk: Path) -> None:
    waiting = await opened(small_disk)
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
    assert await drained(small_disk) == [b"free again"]


# Damage


Change = Callable[[bytes], bytes]


async def recovered(folder: Path, sent: list[bytes], changes: list[Change]) -> list[list[bytes | None]]:
    """What is read from a file of `sent` after each change. None stands for something unreadable: that file is kept."""
    room = folder / "room-0"
    room.mkdir()
    body = b"".join(map(segments.frame, sent))
    for number, change in enumerate(changes):
        path = room / f"{number:016}.seg"
        path.write_bytes(change(b"STSPOOL1" + number.to_bytes(8, "big") + body))
    read = [list(segments.records(path)) for path in files(folder, ".seg")]
    assert await drained(folder) == [payload for found in read for payload in found if payload is not None]
    assert [path.stem for path in files(folder, ".corrupt")] == [
        f"{number:016}" for number, found in enumerate(read) if None in found
    ]
    return read


RECORDS = [b"0", b'{"b":"22"}', b"x" * 90, b"4444", *payloads("r", 12)]


async def test_a_file_cut_anywhere_gives_the_records_before_the_cut(tmp_path: Path, quick: None) -> None:
    ends = [16 + len(b"".join(map(segments.frame, RECORDS[:i]))) for i in range(len(RECORDS) + 1)]
    cuts = range(ends[-1] + 1)
    read = await recovered(tmp_path, RECORDS, [lambda content, cut=cut: content[:cut] for cut in cuts])  # type: ignore[misc]
    assert read == [RECORDS[: sum(end <= cut for end in ends[1:])] for cut in cuts]


async def test_a_flipped_bit_costs_one_record_and_is_kept(tmp_path: Path, quick: None) -> None:
    def flip(content: bytes, at: int) -> bytes:
        return content[:at] + bytes([content[at] ^ 1 << at * 5 % 8]) + content[at + 1 :]

    places = range(16 + len(b"".join(map(segments.frame, RECORDS))))
    read = await recovered(tmp_path, RECORDS, [functools.partial(flip, at=at) for at in places])
    for at, found in zip(places, read, strict=True):
        kept = [payload for payload in found if payload is not None]
        assert found.count(None) == 1, at
        assert len(kept) >= len(RECORDS) - (at >= 16), at
        assert kept == [payload for payload in RECORDS if payload in kept], at


@pytest.mark.parametrize("bit", range(8))
async def test_a_flip_in_the_frame_of_the_last_record_does_not_pass_as_torn(
    tmp_path: Path, quick: None, bit: int
) -> None:
    def flip(content: bytes, back: int) -> bytes:
        changed = bytearray(content)
        changed[-back] ^= 1 << bit
        return bytes(changed)

    last = len(segments.frame(RECORDS[-1]))
    read = await recovered(tmp_path, RECORDS, [functools.partial(flip, back=back) for back in range(1, last + 1)])
    assert read == [[*RECORDS[:-1], None]] * last


async def test_garbage_behind_the_records_never_becomes_one(tmp_path: Path, quick: None) -> None:
    chance = random.Random(1)
    pieces = [b"\xa5", b"\x5a", b"\xa5\x5a", b"\0" * 4, b"\0\0\0\x09", b"STSPOOL1", b"{}", segments.frame(b"lost")[:-1]]

    def tail() -> bytes:
        return b"".join(chance.choice([*pieces, chance.randbytes(9)]) for _ in range(chance.randint(1, 12)))

    tails = [tail() for _ in range(2000)]
    read = await recovered(tmp_path, RECORDS, [lambda content, tail=tail: content + tail for tail in tails])  # type: ignore[misc]
    for garbage, found in zip(tails, read, strict=True):
        assert found in ([*RECORDS, None], RECORDS), garbage
    assert sum(None in found for found in read) > 1900


async def test_damage_between_far_records_is_stepped_over(tmp_path: Path, quick: None) -> None:
    large = [bytes([65 + i]) * segments.RECORD_BYTES for i in range(12)]  # several times what a reader holds
    noise = random.Random(2).randbytes(6 << 20)

    def overwrite(content: bytes) -> bytes:
        return content[: 2 << 20] + noise + content[8 << 20 :]

    (found,) = await recovered(tmp_path, large, [overwrite])
    assert found == [large[0], None, *large[8:]]


@pytest.mark.parametrize("shift", [0, 1, 2])
async def test_a_mark_is_found_across_reading_steps(tmp_path: Path, quick: None, shift: int) -> None:
    def widen(content: bytes) -> bytes:
        split = content.index(segments.MARK, 20)
        return content[:split].ljust(segments.READ_BYTES - shift, b"\0") + content[split:]

    (found,) = await recovered(tmp_path, [b"before", b"behind"], [widen])
    assert found == [b"before", None, b"behind"]


async def test_damage_is_logged_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await fill(tmp_path, [b"one", b"two"])
    (path,) = files(tmp_path, ".seg")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"one", b"0ne"))
    path.with_suffix(".corrupt").write_bytes(b"an earlier one of the same name")
    waiting = await opened(tmp_path)
    assert (waiting.corrupt, waiting.rows) == (1, 1)
    await waiting.replay(into([]))
    assert (waiting.corrupt, waiting.rows) == (2, 0)
    await waiting.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    kept = [path.read_bytes() for path in files(tmp_path, ".corrupt")]
    assert sorted(kept) == sorted([b"an earlier one of the same name", content.replace(b"one", b"0ne")])


async def test_it_starts_in_a_folder_of_anything(tmp_path: Path, quick: None) -> None:
    chance = random.Random(3)
    for room in ("room-0", "room-7", "room-x", "elsewhere", "room-0/folder.seg", "room-2.seg"):
        (tmp_path / room).mkdir()
        for i in range(60):
            name = chance.choice([f"{i:016}.seg", f"{i}.seg", "9" * i + ".seg", f"{i}", f"{i}.txt", f"\udcff{i}.seg"])
            (tmp_path / room / name).write_bytes(chance.randbytes(chance.choice([0, 1, 16, 100, 100_000])))
    (tmp_path / "room-1").write_bytes(b"a file")
    (tmp_path / "room-0" / "link.seg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "room-0" / "pipe.seg")
    (tmp_path / "room-7" / "large.seg").write_bytes(chance.randbytes(40 << 20))
    foreign = [path for path in tmp_path.rglob("*") if path.suffix != ".seg" or "x" in path.parts[-2]]
    began = time.monotonic()
    waiting = await opened(tmp_path)
    assert time.monotonic() - began < 5
    assert waiting.rows == 0
    assert waiting.corrupt == len(files(tmp_path, ".corrupt")) > 20
    await waiting.append([b"works"])
    delivered: list[bytes] = []
    await waiting.replay(into(delivered))
    assert delivered == [b"works"]
    assert all(path.exists() for path in foreign)
    await waiting.close()


# Faults


class Faulty(Disk):
    """A disk on which one call fails, or that call and all after it until `healed`."""

    def __init__(self, at: int = 0, fault: str = "", *, lasting: bool = False) -> None:
        self.calls, self.at, self.fault, self.lasting = 0, at, fault, lasting

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        due = self.at and (self.calls >= self.at if self.lasting else self.calls == self.at)
        if not due:
            return super().call(name, *arguments, **options)
        if name == "write" and self.fault in ("short", "torn"):
            file, data = arguments
            written = os.write(file, data[: (len(data) + 1) // 2])
            if self.fault == "short":
                return written
        elif name == "close" or (self.fault == "late" and name in CHANGING):
            super().call(name, *arguments, **options)  # done, and then reported as failed
        elif name == "read" and self.fault == "short":
            return os.read(arguments[0], 7)
        elif self.fault == "short":
            return super().call(name, *arguments, **options)
        raise OSError(errno.ENOSPC if self.fault == "torn" else errno.EIO, f"{name} {self.calls}")


async def outage(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Live through rotation, a replay that breaks off, and two that do not; return what was acked and delivered."""
    acked: list[bytes] = []
    delivered: list[bytes] = []

    async def deliver(batch: list[bytes]) -> None:
        delivered.extend(batch)
        if b'{"id":"b0-1"}' in batch and delivered.count(b'{"id":"b0-1"}') == 1:
            raise ConnectionError

    waiting = spool.Spool(folder, min_free=0)
    with contextlib.suppress(OSError):
        await waiting.open()
        for i in range(5):
            with contextlib.suppress(spool.SpoolFull):
                await waiting.append(payloads(f"b{i}", 3))
                acked += payloads(f"b{i}", 3)
            if i % 2 == 0:
                with contextlib.suppress(OSError):
                    await waiting.replay(deliver, batch=2)
    await waiting.close()
    return acked, delivered


@pytest.mark.parametrize(
    ("fault", "lasting"),
    [("EIO", False), ("EIO", True), ("late", False), ("torn", False), ("torn", True), ("short", True)],
)
async def test_whichever_call_fails_nothing_acked_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, lasting: bool
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 150)
    sent = {payload for i in range(5) for payload in payloads(f"b{i}", 3)}
    old = payloads("old", 4)
    at, calls = 0, 1
    while at <= calls:
        folder = tmp_path / str(at)
        room = folder / "room-3"
        room.mkdir(parents=True)
        (room / "0000000000000001.seg").write_bytes(b"?" * 16 + b"".join(map(segments.frame, old)))
        disk = Faulty(at, fault, lasting=lasting)
        give(monkeypatch, disk)
        acked, delivered = await outage(folder)
        calls = disk.calls if at == 0 else calls
        assert at or (len(acked) == 15 and set(delivered) == {*sent, *old})

        give(monkeypatch, Disk())
        came = {*delivered, *await drained(folder)}
        assert {*acked, *old} <= came <= {*sent, *old}, at
        assert len(files(folder, ".corrupt")) == 1, at
        at += 1
    assert calls > 100


@pytest.mark.parametrize("call", [2, 3, 4, 5, 6, 7])  # open, write, fsync, fsync of the header; write, fdatasync
async def test_a_file_that_could_not_be_begun_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    waiting = await opened(tmp_path)
    give(monkeypatch, Faulty(call, "EIO"))
    with pytest.raises(spool.SpoolFull):
        await waiting.append([b"refused"])
    assert (waiting.rows, waiting.size, files(tmp_path, ".seg")) == (0, 0, [])
    await waiting.close()


async def test_a_failed_batch_is_gone_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await opened(tmp_path)
    await waiting.append([b"first"])
    disk = Faulty(lasting=True, fault="torn")
    give(monkeypatch, disk)
    disk.at = 2  # the write behind the look at free space
    with pytest.raises(spool.SpoolFull, match="the disk refuses"):
        await waiting.append([b"refused", b"too"])
    disk.at = 0
    await waiting.append([b"second"])
    assert waiting.rows == 2
    assert len(files(tmp_path, ".seg")) == 2
    await waiting.close()
    assert await drained(tmp_path) == [b"first", b"second"]


# Power


class Recorder(Disk):
    """A disk that notes what was changed and what was synced; now and then a sync of records fails."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.log: list[tuple[Any, ...]] = []
        self.opened: dict[int, Any] = {}  # descriptor: a folder's path or the number of a file
        self.sizes: dict[int, int] = {}

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        result = super().call(name, *arguments, **options)
        if name == "open":
            self.opened[result] = self._opened(str(arguments[0]), arguments[1])
        elif name == "write":
            file = self.opened[arguments[0]]
            self.log.append(("write", file, self.sizes[file], bytes(arguments[1])))
            self.sizes[file] += result
        elif name == "ftruncate":
            self.sizes[self.opened[arguments[0]]] = arguments[1]
            self.log.append((name, self.opened[arguments[0]], arguments[1]))
        elif name in ("fsync", "fdatasync"):
            if name == "fdatasync" and self.chance.random() < 0.1:
                raise OSError(errno.EIO, "sync")
            self.log.append(("sync", self.opened[arguments[0]]))
        elif name in ("unlink", "rename", "mkdir"):
            self.log.append((name, *map(str, arguments[: 1 + (name == "rename")])))
        return result

    def _opened(self, path: str, flags: int) -> str | int:
        if not flags & os.O_CREAT:
            return path
        number = len(self.sizes)
        self.sizes[number] = 0
        self.log.append(("create", path, number))
        return number


def after_power_loss(log: list[tuple[Any, ...]], chance: random.Random, root: Path, folder: Path) -> None:
    """Build in `folder` a state `root` may be left in: all that was synced, and of the rest what chance lets."""
    synced = {where: i for i, (what, where, *_) in enumerate(log) if what == "sync"}
    contents: dict[int, bytes] = {}
    names: dict[str, int | None] = {}  # path: the number of a file, None for a folder
    for i, (what, where, *rest) in enumerate(log):
        safe = synced.get(where if isinstance(where, int) else os.path.dirname(where), -1) > i
        if what == "write":
            offset, data = rest
            if not safe:
                data = data[: chance.randint(0, len(data))]
                hole = chance.randint(0, len(data)) if chance.random() < 0.5 else len(data)  # pages go in any order
                data = data[:hole] + bytes(len(data[hole : hole + 8])) + data[hole + 8 :]
            contents[where] = contents.get(where, b"")[:offset].ljust(offset, b"\0") + data
        elif not safe and chance.random() < 0.5:
            continue
        elif what == "ftruncate":
            contents[where] = contents.get(where, b"")[: rest[0]]
        elif what in ("create", "mkdir"):
            names[where] = rest[0] if rest else None
        elif what == "rename" and where in names:
            names[rest[0]] = names.pop(where)
        elif what == "unlink":
            names.pop(where, None)
    folder.mkdir()
    for path in sorted(names):
        place, number = folder / Path(path).relative_to(root), names[path]
        if place.parent.is_dir():
            place.mkdir() if number is None else place.write_bytes(contents.get(number, b""))


async def busy_life(root: Path, chance: random.Random, log: list[tuple[Any, ...]]) -> None:
    """A few processes one after another, appending and replaying; what they promise goes into the log as well."""

    async def deliver(batch: list[bytes]) -> None:
        if chance.random() < 0.2:
            raise ConnectionError
        log.append(("delivered", "", batch))

    number = 0
    for _ in range(2):
        waiting = await opened(root / "spool")
        for _ in range(8):
            number += 1
            batch = payloads(f"p{number}", chance.randint(1, 5))
            try:
                await waiting.append(batch)
                log.append(("acked", "", batch))
                if chance.random() < 0.2:
                    await waiting.replay(deliver, batch=3)
            except (spool.SpoolFull, ConnectionError):
                pass
        await waiting.close()


async def test_power_lost_at_any_moment_takes_nothing_acked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 200)
    torn = 0
    for seed in range(30):
        chance = random.Random(seed)
        root = tmp_path / f"{seed}"
        root.mkdir()
        recorder = Recorder(chance)
        give(monkeypatch, recorder)
        await busy_life(root, chance, recorder.log)
        give(monkeypatch, Disk())
        for cut in range(20):
            log = recorder.log[: chance.randint(0, len(recorder.log))]
            promised = {payload for what, _, *rest in log if what == "acked" for payload in rest[0]}
            promised -= {payload for what, _, *rest in log if what == "delivered" for payload in rest[0]}
            after_power_loss(log, chance, root, tmp_path / f"{seed}-{cut}")
            found = await drained(tmp_path / f"{seed}-{cut}" / "spool")
            assert promised <= set(found), (seed, cut)
            assert all(payload.startswith(b'{"id":"p') for payload in found), (seed, cut)
            torn += len(files(tmp_path / f"{seed}-{cut}", ".corrupt")) > 0
    assert torn > 15  # else the losses were too mild to prove anything


# Processes

WRITER = """
import asyncio, sys
from pathlib import Path
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
        env=os.environ | {"PYTHONPATH": str(Path(spool.__file__).parents[2])},
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
    assert len(list(tmp_path.glob("room-*"))) == 1  # each took over the room of the one before


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
    third = await opened(tmp_path)  # takes the free room and what is in it
    assert (third.rows, waiting.rows) == (6, 0)
    assert await waiting.replay(into(delivered)) == 0
    await third.close()
    assert await waiting.replay(into(delivered)) == 6
    assert delivered == [b"mine", *(f"neighbour-{n}-{i}".encode() for n in range(2) for i in range(3))]
    fourth = await opened(tmp_path)  # a drained room is left to newcomers
    assert len(list(tmp_path.glob("room-*"))) == 2
    await fourth.close()
    await waiting.close()
