"""The spool on a disk that fails, and after the power was lost."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from disks import CHANGING, Disk, drained, files, give, opened, payloads

from statsd.ingest import segments, spool

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
        slot = folder / "room-3"
        slot.mkdir(parents=True)
        (slot / "0000000000000001.seg").write_bytes(b"?" * 16 + b"".join(map(segments.frame, old)))
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
    with pytest.raises(spool.SpoolFull, match="the disk failed"):
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
