"""Small files that survive a crash and a power loss: each is there whole, or not at all.

A file is written beside its place, synced, and then moved there. Only its owner may read it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write the file, in place of one that exists. Raises OSError."""
    with _draft(path, text) as draft:
        draft.replace(path)
    sync_folder(path.parent)


def create(path: Path, text: str) -> None:
    """Write the file unless it exists: of several processes the first one wins. Raises OSError."""
    with _draft(path, text) as draft, contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: without this a power loss may undo a rename. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
