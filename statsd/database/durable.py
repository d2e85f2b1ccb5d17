"""Small files that survive a crash and a power loss: each is there whole, or not at all.

A file is written beside its place, synced, and then moved there. Only its owner may read it.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from statsd.errors import StatsError


def replace(path: Path, content: str | bytes) -> None:
    """Write the file, in place of one that exists. Raises OSError."""
    with _draft(path, content) as draft:
        draft.replace(path)
    sync_folder(path.parent)


def create(path: Path, text: str) -> None:
    """Write the file unless it exists: of several processes the first one wins. Raises OSError."""
    with _draft(path, text) as draft, contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    sync_folder(path.parent)


@contextlib.contextmanager
def writing(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """Yield a large file to write: it appears at `path`, synced, once the block has ended well. Mode 0600.

    What a killed process left (`.NAME.part`) is used up by the next one. Raises OSError, and StatsError if `path`
    exists and may not be overwritten, or if another process is writing it.
    """
    draft = path.with_name(f".{path.name}.part")
    if path.exists() and not overwrite:
        raise StatsError(f"{path} exists: choose another name, or overwrite it with --force")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    with os.fdopen(descriptor, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StatsError(f"another process is writing {path}: wait for it, or choose another name") from None
        try:
            os.fchmod(descriptor, 0o600)
            file.truncate()
            yield file
            file.flush()
            os.fsync(descriptor)
            if path.exists() and not overwrite:
                raise StatsError(f"{path} was made by someone else meanwhile: choose another name")
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: without this a power loss may undo a rename. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _draft(path: Path, content: str | bytes) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
