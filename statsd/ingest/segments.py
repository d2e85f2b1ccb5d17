"""The file format of the spool: records that can be read again whatever happened to the file around them.

    file     "STSPOOL1" | u64 the number in the file's name: the time of its making in microseconds
    record   A5 5A | u32 length | u32 crc32(length, payload) | payload: 1 byte to 1 MiB of ASCII     (all big-endian)

ASCII cannot hold the mark A5 5A, so a reader finds the next record behind a damaged one by searching for the mark.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Generator
from pathlib import Path

MARK = b"\xa5\x5a"
FRAME = struct.Struct(">2sII")  # mark, length, checksum
RECORD_BYTES = 1 << 20
READ_BYTES = 4 << 20  # what a reader holds at a time; the largest record must fit
HEADER_BYTES = 16

Reader = Generator[bytes | None, None, None]


def frame(payload: bytes) -> bytes:
    """Return the record that holds `payload`. Raises ValueError when it is not 1 byte to 1 MiB of ASCII."""
    if not 0 < len(payload) <= RECORD_BYTES or not payload.isascii():
        raise ValueError(f"spool: a record must be 1 to {RECORD_BYTES} bytes of ASCII (got {len(payload)} bytes)")
    return FRAME.pack(MARK, len(payload), _checksum(payload)) + payload


def records(path: Path) -> Reader:
    """Yield every payload of a file that verifies, in order, and None once for each span that does not.

    A last record that was never finished is neither: nobody was told that it is safe. Raises OSError.
    """
    file = os.open(path, os.O_RDONLY)  # read, not mapped: a bad sector must be an error, not a SIGBUS
    try:
        window, begin = _fill(file, b""), header(path)
        if begin.startswith(window):
            return
        at = len(begin) if window.startswith(begin) else 0
        ended, skipping, torn = len(window) < READ_BYTES, False, False
        while at < len(window):
            if not ended and len(window) - at < FRAME.size + RECORD_BYTES:
                window, at = _fill(file, window[at:]), 0
                ended = len(window) < READ_BYTES
            if payload := _record(window, at):
                if skipping:
                    yield None
                yield payload
                at, skipping = at + FRAME.size + len(payload), False
            else:
                torn = torn if skipping else ended and _is_torn(window[at:])
                at, skipping = _next_mark(window, at), True
        if skipping and not torn:
            yield None
    finally:
        close(file)


def sequence(path: Path) -> int:
    """Return the number in a file's name, or 0 where there is none."""
    return int(path.stem) if len(path.stem) == 16 and path.stem.isdecimal() else 0


def header(path: Path) -> bytes:
    """Return the bytes a file of this name begins with."""
    return b"STSPOOL1" + sequence(path).to_bytes(8, "big")


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "big")))


def _record(window: bytes, at: int) -> bytes | None:
    if len(window) - at < FRAME.size:
        return None
    mark, length, checksum = FRAME.unpack_from(window, at)
    if mark != MARK or length > RECORD_BYTES:
        return None
    payload = window[at + FRAME.size : at + FRAME.size + length]
    return payload if len(payload) == length and _checksum(payload) == checksum else None


def _next_mark(window: bytes, at: int) -> int:
    found = window.find(MARK, at + 1)
    return found if found >= 0 else max(at + 1, len(window) - 1)  # the last byte may be half a mark


def _is_torn(rest: bytes) -> bool:
    """Tell whether the end of a file is the beginning of one record, rather than a whole one with a damaged length."""
    if len(rest) < FRAME.size:
        return rest.startswith(MARK) or MARK.startswith(rest)
    (mark, length, checksum), payload = FRAME.unpack_from(rest), rest[FRAME.size :]
    begins = mark == MARK and len(payload) < length <= RECORD_BYTES and payload.isascii()
    return begins and _checksum(payload) != checksum


def _fill(file: int, window: bytes) -> bytes:
    while len(window) < READ_BYTES and (more := os.read(file, READ_BYTES)):
        window += more
    return window


def close(file: int) -> None:
    """Close a descriptor, whatever it says: what counts was synced before."""
    with contextlib.suppress(OSError):
        os.close(file)
