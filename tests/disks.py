"""Disks for the spool: real ones, and what stands before them and interferes."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from statsd.database import durable
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
    for module in (segments, spool, durable):
        monkeypatch.setattr(module, "os", disk)


async def opened(folder: Path, **options: Any) -> spool.Spool:
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


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A disk of its own, of `size`. Only root may mount one."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill_disk(path: Path) -> Path:
    """Fill a disk to its last byte; return the file that does, to be deleted."""
    ballast = path / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(65536)):
            pass
    return ballast
