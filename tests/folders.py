"""The checkout, and folders for the data of a test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The checkout."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter: as root, PostgreSQL runs as another one."""
    with tempfile.TemporaryDirectory(prefix="statsd-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
