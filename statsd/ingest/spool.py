"""The spool on local disk: events that are accepted while PostgreSQL is away.

A record is in the spool once `append` has returned, and stays until the batch that delivers it has succeeded. Files are
only appended to, and deleted once all their records are delivered. No position is kept: a replay that is interrupted
starts its file again, which is harmless because records have the ids of their events.

    <folder>/room-0/1763692800000000.seg   one slot per process, held by a lock; `segments.py` has the format

The folders keep the name that earlier versions gave them: events may wait in them.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from statsd.database import durable
from statsd.errors import Overloaded
from statsd.ingest import segments
from statsd.ingest.order import Keys

SEGMENT_BYTES = 16 << 20

T = TypeVar("T")

log = logging.getLogger("statsd.spool")


class SpoolFull(Overloaded):
    """The spool took none of the batch: its limit is reached, or the disk failed."""

    reason = "spool_full"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=5)


@dataclass(slots=True, eq=False)
class _Segment:
    """One file of records; `size` is the offset up to which everything is synced."""

    path: Path
    size: int = 0
    rows: int = 0
    counters: "array[int]" = field(default_factory=lambda: array("I"))
    """Of the keys of its records, in `Spool.keys`."""


class Spool:
    """The spool of this process in `folder`, which any number of processes may share.

    `max_bytes` limits the size of the slots it holds, `min_free` is the disk space it leaves free, both in bytes. `key`
    gives the key of a record that others must not overtake, or None. One thread does all work on files, in order: this
    needs no locks, and a cancelled caller leaves nothing half done.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 1 << 30,
        min_free: int = 256 << 20,
        key: Callable[[bytes], str | None] = lambda payload: None,
    ) -> None:
        self._folder, self.max_bytes, self._min_free, self._key = folder, max_bytes, min_free, key
        self.keys = Keys()
        """The keys of its records. Those of a file count until all its records are delivered."""
        self._thread = ThreadPoolExecutor(1, "spool")  # its own: password hashing may fill the shared one
        self._replaying = asyncio.Lock()
        self._own = folder
        self._locks: dict[Path, int] = {}  # the slots we hold: their folder, and its descriptor
        self._segments: list[_Segment] = []
        self._current: tuple[_Segment, int] | None = None  # the file that grows, and its descriptor
        self._number = 0

    @property
    def rows(self) -> int:
        """Records in the spool. A file counts in full until all its records are delivered."""
        return sum(segment.rows for segment in tuple(self._segments))

    @property
    def size(self) -> int:
        """Bytes in the spool."""
        return sum(segment.size for segment in tuple(self._segments))

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest file, by its name; 0.0 when the spool is empty."""
        now = time.time()
        began = [segments.sequence(segment.path) / 1e6 for segment in tuple(self._segments) if segment.rows]
        return max(0.0, now - min(filter(None, began), default=now))

    @property
    def corrupt(self) -> int:
        """Files kept as `.corrupt` in the slots of all processes. Lists folders."""
        return len(list(self._folder.glob("room-*/*.corrupt")))

    async def open(self) -> None:
        """Claim a slot and count the records of earlier processes. Raises OSError when the folder cannot be used."""
        await self._do(self._open)

    async def append(self, payloads: Sequence[bytes]) -> None:
        """Return once all payloads are synced to disk.

        Raises SpoolFull, with none accepted, when a limit is reached or the disk fails, and ValueError for a payload
        that is not 1 byte to 1 MiB of ASCII.
        """
        if payloads:
            await self._do(self._append, payloads)

    async def replay(self, deliver: Callable[[list[bytes]], Awaitable[None]], batch: int = 500) -> int:
        """Deliver all records, oldest file first, in batches of up to `batch`; return their number.

        An error of `deliver` ends the replay and is raised; the next replay starts that file again. A file that cannot
        be read or deleted stays for the next replay, so pause between replays. Raises OSError when the folder cannot be
        listed.
        """
        async with self._replaying:
            delivered = 0
            for segment in await self._do(self._seal_and_list):
                delivered += await self._replay(segment, deliver, batch)
            await self._do(self._leave_empty_slots)
            return delivered

    async def contains(self, needle: bytes) -> bool:
        """Return whether the bytes are in a file of any process.

        Ask the spool first and PostgreSQL second: a record that is being delivered is then in one of them.
        """
        return await asyncio.to_thread(lambda: any(_has(path, needle) for path in self._folder.glob("room-*/*.seg")))

    async def close(self) -> None:
        """Leave the slot, with its records, to the next process. Cancel a replay before."""
        await self._do(self._close)
        self._thread.shutdown()

    async def _do(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _open(self) -> None:
        _make(self._folder)
        for number in count():
            self._own = self._folder / f"room-{number}"
            with contextlib.suppress(BlockingIOError, FileExistsError):  # held by another process, or no folder
                _make(self._own)
                self._locks[self._own] = _lock(self._own)
                break
        self._adopt()

    def _adopt(self) -> None:
        """Claim every slot whose owner is gone, and register every file in the slots we hold."""
        for name in filter(re.compile(r"room-\d+").fullmatch, sorted(os.listdir(self._folder))):
            slot = self._folder / name
            try:
                if slot not in self._locks:
                    self._locks[slot] = _lock(slot)
                self._register_files(slot)
            except (BlockingIOError, NotADirectoryError):
                continue  # its owner lives, or it is no folder
            except OSError as error:
                log.warning("%s cannot be listed, its events stay for the next replay: %s", slot, error)
        self._leave_empty_slots()

    def _register_files(self, slot: Path) -> None:
        with os.scandir(slot) as entries:
            names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        gone = [s for s in self._segments if s.path.parent == slot and s.path.name not in names]
        for segment in gone:
            self._forget(segment)
        known = {segment.path for segment in self._segments}
        for path in (slot / name for name in sorted(names) if name.endswith(".seg")):
            if path not in known:
                self._register(_Segment(path))

    def _register(self, segment: _Segment) -> None:
        self._segments.append(segment)
        damaged = False
        try:
            segment.size = os.stat(segment.path).st_size
            for payload in segments.records(segment.path):
                if payload is None:
                    damaged = True
                else:
                    self._count(segment, payload)
        except OSError as error:
            log.warning("%s cannot be read, it stays for the next replay: %s", segment.path, error)
            return
        if not segment.rows:
            self._finish(segment, damaged)

    def _count(self, segment: _Segment, payload: bytes) -> None:
        segment.rows += 1
        if (key := self._key(payload)) is not None:
            segment.counters.append(self.keys.add(key))

    def _forget(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        self.keys.remove(segment.counters)

    def _leave_empty_slots(self) -> None:
        used = {segment.path.parent for segment in self._segments} | {self._own}
        for slot in self._locks.keys() - used:
            segments.close(self._locks.pop(slot))

    def _append(self, payloads: Sequence[bytes]) -> None:
        data = b"".join(map(segments.frame, payloads))
        try:
            self._check_bounds(len(data) + segments.HEADER_BYTES)
            if self._current and self._current[0].size + len(data) > SEGMENT_BYTES:
                self._seal()
            segment, file = self._current or self._create()
            _write(file, data)
            getattr(os, "fdatasync", os.fsync)(file)  # macOS has no fdatasync
        except OSError as error:
            self._abandon()
            raise SpoolFull(f"spool: the disk failed ({error.strerror}); try again later") from error
        segment.size += len(data)
        for payload in payloads:
            self._count(segment, payload)

    def _check_bounds(self, size: int) -> None:
        if self.size + size > self.max_bytes:
            raise SpoolFull(f"spool: full, {self.size} of {self.max_bytes} bytes wait for PostgreSQL; try again later")
        disk = os.statvfs(self._own)
        free = disk.f_bavail * disk.f_frsize
        if free - size < self._min_free:
            raise SpoolFull(f"spool: {self._min_free} bytes of the disk must stay free (has {free}); try again later")

    def _create(self) -> tuple[_Segment, int]:
        self._number = max(self._number + 1, time.time_ns() // 1000)
        segment = _Segment(self._own / f"{self._number:016}.seg")
        file = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._segments.append(segment)
        self._current = segment, file
        _write(file, segments.header(segment.path))
        os.fsync(file)
        os.fsync(self._locks[self._own])  # else a power loss may lose the name, and with it acknowledged records
        segment.size = segments.HEADER_BYTES
        return self._current

    def _seal(self) -> None:
        if self._current:
            (_, file), self._current = self._current, None
            segments.close(file)

    def _abandon(self) -> None:
        """Give up the current file. After a failed sync, a second one may succeed although pages were lost."""
        if not self._current:
            return
        segment, file = self._current
        with contextlib.suppress(OSError):  # records that stay were never acknowledged: a duplicate at worst
            os.ftruncate(file, segment.size)
        self._seal()
        if not segment.rows:
            self._finish(segment, damaged=False)

    def _seal_and_list(self) -> list[_Segment]:
        self._seal()
        self._adopt()
        return sorted(self._segments, key=lambda segment: segment.path.name)

    async def _replay(self, segment: _Segment, deliver: Callable[[list[bytes]], Awaitable[None]], batch: int) -> int:
        delivered, damaged, reader = 0, False, segments.records(segment.path)
        try:
            while records := await self._do(_read_batch, reader, batch, segment.path):
                payloads = [payload for payload in records if payload is not None]
                damaged |= len(payloads) < len(records)
                if payloads:
                    await deliver(payloads)
                delivered += len(payloads)
        finally:
            self._thread.submit(reader.close)  # in order: a cancelled caller's read may still run
        if records is not None:
            await self._do(self._finish, segment, damaged)
        return delivered

    def _finish(self, segment: _Segment, damaged: bool) -> None:
        """Delete a file that is delivered, or keep it as `.corrupt` if a part of it could not be read."""
        try:
            if damaged:
                self._quarantine(segment.path)
            else:
                os.unlink(segment.path)
            self._forget(segment)
            os.fsync(self._locks[segment.path.parent])
        except OSError as error:
            log.warning("%s is delivered but cannot be deleted, and may be delivered again: %s", segment.path, error)

    def _quarantine(self, path: Path) -> None:
        target = path.with_suffix(".corrupt")
        if target.exists():
            target = path.with_suffix(f".{time.time_ns()}.corrupt")
        os.rename(path, target)
        log.error("%s is damaged: its readable records were delivered, the file is kept", target)

    def _close(self) -> None:
        self._seal()
        while self._locks:
            segments.close(self._locks.popitem()[1])


class Erased(NamedTuple):
    """What `erase` did in a spool: the records it removed, and the files it could not clean."""

    records: int
    in_use: list[Path]
    """Files of servers that run: they deliver them by themselves."""
    damaged: list[Path]
    """Files with parts that cannot be read."""


def erase(folder: Path, matches: Callable[[bytes], bool], dry_run: bool = False) -> Erased:
    """Remove the records whose payload matches from the files of all slots that no process holds.

    Each file is there as it was or without these records, also after a crash. Raises OSError.
    """
    records, in_use = 0, []
    for slot in sorted(folder.glob("room-*/")):
        try:
            lock = _lock(slot)
        except BlockingIOError:
            in_use += sorted(slot.glob("*.seg"))
            continue
        try:
            records += sum(
                _erase_from(path, matches, dry_run) for path in [*slot.glob("*.seg"), *slot.glob("*.corrupt")]
            )
        finally:
            segments.close(lock)
    return Erased(records, in_use, sorted(folder.glob("room-*/*.corrupt")))


def _erase_from(path: Path, matches: Callable[[bytes], bool], dry_run: bool) -> int:
    content, removed = segments.without(path, matches)
    if not removed or dry_run:
        return removed
    if len(content) <= segments.HEADER_BYTES:
        path.unlink()
        durable.sync_folder(path.parent)
    else:
        durable.replace(path, content)
    return removed


def _read_batch(reader: segments.Reader, batch: int, path: Path) -> list[bytes | None] | None:
    """The next records, with None for a damaged span; [] at the end, and None if the disk fails."""
    try:
        return list(islice(reader, batch))
    except OSError as error:
        log.warning("%s cannot be read, it stays for the next replay: %s", path, error)
        return None


def _has(path: Path, needle: bytes) -> bool:
    tail = b""
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:  # deleted meanwhile: delivered
        while chunk := file.read(1 << 20):  # in steps: a search holds the interpreter's lock
            window = tail + chunk
            if needle in window:
                return True
            tail = window[-len(needle) :]
    return False


def _make(folder: Path) -> None:
    """Make a folder and sync its parent, also if it exists: its maker may have died before the sync."""
    if not os.path.isdir(folder):
        _make(folder.parent)
        os.mkdir(folder, 0o700)
    durable.sync_folder(folder.parent)


def _lock(slot: Path) -> int:
    folder = os.open(slot, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        segments.close(folder)
        raise
    return folder


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
