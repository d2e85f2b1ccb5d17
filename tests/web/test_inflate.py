"""Compressed bodies: inflated whole, in slices, and never beyond their limit."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib

import pytest

from statsd.web.asked import BATCH_BYTES
from statsd.web.inflate import MOST_MEMBERS, SLICE_BYTES, TooLarge, inflate

TEXT = random.Random(5).randbytes(300_000).hex().encode()


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:])),
        ("gzip", gzip.compress(TEXT, 0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare(TEXT)),
    ],
    ids=["gzip", "joined", "stored", "deflate", "bare"],
)
async def test_body_is_inflated_whole_and_up_to_its_limit(encoding: str, data: bytes) -> None:
    assert await inflate(data, encoding, len(TEXT)) == TEXT
    with pytest.raises(TooLarge):
        await inflate(data, encoding, len(TEXT) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        gzip.compress(TEXT)[:-1],
        gzip.compress(TEXT)[:-8] + bytes(8),
        gzip.compress(TEXT)[:5_000] + bytes(100) + gzip.compress(TEXT)[5_100:],
        gzip.compress(TEXT) + b"and more",
        gzip.compress(b"") * (MOST_MEMBERS + 1),
    ],
    ids=["empty", "text", "cut", "checksum", "flipped", "followed", "many"],
)
async def test_damaged_body_is_an_error(data: bytes) -> None:
    with pytest.raises(zlib.error):
        await inflate(data, "gzip", BATCH_BYTES)


async def test_bomb_ends_at_the_limit() -> None:
    """Ninety megabytes of zeros in 90 KB: only what the limit allows is inflated."""
    bomb = gzip.compress(bytes(1 << 20)) * 90
    with pytest.raises(TooLarge):
        await inflate(bomb, "gzip", BATCH_BYTES)


async def test_event_loop_runs_between_slices() -> None:
    inflating = asyncio.create_task(inflate(gzip.compress(bytes(BATCH_BYTES)), "gzip", BATCH_BYTES))
    turns = 0
    while not inflating.done():
        await asyncio.sleep(0)
        turns += 1
    assert await inflating == bytes(BATCH_BYTES)
    assert turns >= BATCH_BYTES / SLICE_BYTES
