"""The file format of the spool: a record stays readable if the file around it is damaged.

    file     "STSPOOL1" | u64 the number in the file's name: its creation time in microseconds
    record   A5 5A | u32 length | u32 crc32(length, payload) | payload: 1 byte to 1 MiB of ASCII     (all big-endian)

ASCII cannot contain the mark A5 5A, so a reader finds the record after a damaged one by searching for the mark.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Generator
from pathlib import Path

MARK = b"\xa5\x5a"
FRAME = struct.Struct(">2sII")  # mark, length, checksum
RECORD_BYTES = 1 << 20
READ_BYTES = 4 << 20  # read at a time; the largest record must fit
HEADER_BYTES = 16

Reader = Generator[bytes | None, None, None]


def frame(payload: bytes) -> bytes:
    """Return the record that holds `payload`. Raises ValueError when it is not 1 byte to 1 MiB of ASCII."""
    if not 0 < len(payload) <= RECORD_BYTES or not payload.isascii():
        raise ValueError(f"spool: a record must be 1 to {RECORD_BYTES} bytes of ASCII (got {len(payload)} bytes)")
    return FRAME.pack(MARK, len(payload), _checksum(payload)) + payload


def records(path: Path) -> Reader:
    """Yield every valid payload of a file, in order, and None for each damaged span.

    An unfinished last record yields nothing: it was never acknowledged. Raises OSError.
    """
    file = os.open(path, os.O_RDONLY)  # read, not mapped: a bad sector must raise OSError, not SIGBUS
    try:
        window, start = _fill(file, b""), header(path)
        if start.startswith(window):
            return
        at = len(start) if window.startswith(start) else 0
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


def without(path: Path, matches: Callable[[bytes], bool]) -> tuple[bytes, int]:
    """Return the bytes of a file without the records whose payload matches, and how many these are.

    Everything else stays as it is, damaged parts too. Raises OSError.
    """
    window, kept, at, removed = path.read_bytes(), bytearray(), 0, 0
    while at < len(window):
        payload = _record(window, at)
        end = at + FRAME.size + len(payload) if payload else _next_mark(window, at)
        if payload and matches(payload):
            removed += 1
        else:
            kept += window[at:end]
        at = end
    return bytes(kept), removed


def sequence(path: Path) -> int:
    """Return the number in a file's name, or 0 if it has none."""
    return int(path.stem) if len(path.stem) == 16 and path.stem.isdecimal() else 0


def header(path: Path) -> bytes:
    """Return the first bytes of a file of this name."""
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
    mark = window.find(MARK, at + 1)
    return mark if mark >= 0 else max(at + 1, len(window) - 1)  # the last byte may be half a mark


def _is_torn(rest: bytes) -> bool:
    """Whether the end of a file is an unfinished record, and not a finished one with a damaged length."""
    if len(rest) < FRAME.size:
        return rest.startswith(MARK) or MARK.startswith(rest)
    (mark, length, checksum), payload = FRAME.unpack_from(rest), rest[FRAME.size :]
    is_start = mark == MARK and len(payload) < length <= RECORD_BYTES and payload.isascii()
    return is_start and _checksum(payload) != checksum


def _fill(file: int, window: bytes) -> bytes:
    while len(window) < READ_BYTES and (more := os.read(file, READ_BYTES)):
        window += more
    return window


def close(file: int) -> None:
    """Close a descriptor and ignore errors: all that matters was synced before."""
    with contextlib.suppress(OSError):
        os.close(file)
