"""The checkout, and folders for the data of a test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The checkout."""
MEMORY = Path("/dev/shm")
"""A file system in memory: PostgreSQL makes and drops a test's database there in 40 ms, on a disk in 250 and more."""
MEMORY_BYTES = 4 << 30
"""What must be free in it, so that a run cannot fill it: the logs of PostgreSQL alone may take 1 GiB."""


def fast_place() -> Path | None:
    """Return where data is kept fastest, or None for where temporary files belong."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter: as root, PostgreSQL runs as another one."""
    with tempfile.TemporaryDirectory(prefix="statsd-test-", dir=fast_place(), ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
