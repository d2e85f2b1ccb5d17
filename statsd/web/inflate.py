"""Compressed bodies, inflated in slices: eight megabytes at once would hold the event loop for a tenth of a second."""

import asyncio
import zlib

SLICE_BYTES = 128 << 10  # inflated at a time, which takes half a millisecond
MOST_MEMBERS = 100  # files that are joined; each one may be empty, so that no limit on the size would end them
WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(ValueError):
    """The inflated body is larger than its limit."""


async def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """Return the bytes of a body in gzip (also files joined by `cat`) or deflate (also without zlib's header).

    Raises TooLarge, and zlib.error for what is damaged or ends too early.
    """
    is_bare = encoding == "deflate" and data[0:1] != b"" and data[0] & 0xF != zlib.DEFLATED
    window = -zlib.MAX_WBITS if is_bare else WINDOWS[encoding]
    parts: list[bytes] = []
    size = 0
    for _ in range(MOST_MEMBERS):
        unpacker = zlib.decompressobj(window)
        while not unpacker.eof:
            part = unpacker.decompress(data, SLICE_BYTES)
            if not part and not unpacker.eof:
                raise zlib.error("the data ends too early")
            data = unpacker.unconsumed_tail
            parts.append(part)
            size += len(part)
            if size > limit:
                raise TooLarge
            await asyncio.sleep(0)
        data = unpacker.unused_data
        if not data:
            return b"".join(parts)
    raise zlib.error("too many files in one")
