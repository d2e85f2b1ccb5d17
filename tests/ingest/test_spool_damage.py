"""The spool reads what a damaged file still has, and keeps the file."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import Disk, drained, files, fill, give, into, opened, payloads
from waiting import PATIENCE_SECONDS

from statsd.ingest import segments


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, Disk())


Change = Callable[[bytes], bytes]


async def recovered(folder: Path, sent: list[bytes], changes: list[Change]) -> list[list[bytes | None]]:
    """What is read from a file of `sent` after each change. None stands for something unreadable: that file is kept."""
    slot = folder / "room-0"
    slot.mkdir()
    body = b"".join(map(segments.frame, sent))
    for number, change in enumerate(changes):
        path = slot / f"{number:016}.seg"
        path.write_bytes(change(b"STSPOOL1" + number.to_bytes(8, "big") + body))
    read = [list(segments.records(path)) for path in files(folder, ".seg")]
    assert await drained(folder) == [payload for found in read for payload in found if payload is not None]
    assert [path.stem for path in files(folder, ".corrupt")] == [
        f"{number:016}" for number, found in enumerate(read) if None in found
    ]
    return read


RECORDS = [b"0", b'{"b":"22"}', b"x" * 90, b"4444", *payloads("r", 12)]


async def test_a_file_cut_anywhere_gives_the_records_before_the_cut(tmp_path: Path, quick: None) -> None:
    ends = [16 + len(b"".join(map(segments.frame, RECORDS[:i]))) for i in range(len(RECORDS) + 1)]
    cuts = range(ends[-1] + 1)
    read = await recovered(tmp_path, RECORDS, [lambda content, cut=cut: content[:cut] for cut in cuts])  # type: ignore[misc]
    assert read == [RECORDS[: sum(end <= cut for end in ends[1:])] for cut in cuts]


async def test_a_flipped_bit_costs_one_record_and_is_kept(tmp_path: Path, quick: None) -> None:
    def flip(content: bytes, at: int) -> bytes:
        return content[:at] + bytes([content[at] ^ 1 << at * 5 % 8]) + content[at + 1 :]

    places = range(16 + len(b"".join(map(segments.frame, RECORDS))))
    read = await recovered(tmp_path, RECORDS, [functools.partial(flip, at=at) for at in places])
    for at, found in zip(places, read, strict=True):
        kept = [payload for payload in found if payload is not None]
        assert found.count(None) == 1, at
        assert len(kept) >= len(RECORDS) - (at >= 16), at
        assert kept == [payload for payload in RECORDS if payload in kept], at


@pytest.mark.parametrize("bit", range(8))
async def test_a_flip_in_the_frame_of_the_last_record_does_not_pass_as_torn(
    tmp_path: Path, quick: None, bit: int
) -> None:
    def flip(content: bytes, back: int) -> bytes:
        changed = bytearray(content)
        changed[-back] ^= 1 << bit
        return bytes(changed)

    last = len(segments.frame(RECORDS[-1]))
    read = await recovered(tmp_path, RECORDS, [functools.partial(flip, back=back) for back in range(1, last + 1)])
    assert read == [[*RECORDS[:-1], None]] * last


async def test_garbage_behind_the_records_never_becomes_one(tmp_path: Path, quick: None) -> None:
    chance = random.Random(1)
    pieces = [b"\xa5", b"\x5a", b"\xa5\x5a", b"\0" * 4, b"\0\0\0\x09", b"STSPOOL1", b"{}", segments.frame(b"lost")[:-1]]

    def tail() -> bytes:
        return b"".join(chance.choice([*pieces, chance.randbytes(9)]) for _ in range(chance.randint(1, 12)))

    tails = [tail() for _ in range(2000)]
    read = await recovered(tmp_path, RECORDS, [lambda content, tail=tail: content + tail for tail in tails])  # type: ignore[misc]
    for garbage, found in zip(tails, read, strict=True):
        assert found in ([*RECORDS, None], RECORDS), garbage
    assert sum(None in found for found in read) > 1900


async def test_damage_between_far_records_is_stepped_over(tmp_path: Path, quick: None) -> None:
    large = [bytes([65 + i]) * segments.RECORD_BYTES for i in range(12)]  # several times what a reader holds
    noise = random.Random(2).randbytes(6 << 20)

    def overwrite(content: bytes) -> bytes:
        return content[: 2 << 20] + noise + content[8 << 20 :]

    (found,) = await recovered(tmp_path, large, [overwrite])
    assert found == [large[0], None, *large[8:]]


@pytest.mark.parametrize("shift", [0, 1, 2])
async def test_a_mark_is_found_across_reading_steps(tmp_path: Path, quick: None, shift: int) -> None:
    def widen(content: bytes) -> bytes:
        split = content.index(segments.MARK, 20)
        return content[:split].ljust(segments.READ_BYTES - shift, b"\0") + content[split:]

    (found,) = await recovered(tmp_path, [b"before", b"behind"], [widen])
    assert found == [b"before", None, b"behind"]


async def test_damage_is_logged_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await fill(tmp_path, [b"one", b"two"])
    (path,) = files(tmp_path, ".seg")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"one", b"0ne"))
    path.with_suffix(".corrupt").write_bytes(b"an earlier one of the same name")
    waiting = await opened(tmp_path)
    assert (waiting.corrupt, waiting.rows) == (1, 1)
    await waiting.replay(into([]))
    assert (waiting.corrupt, waiting.rows) == (2, 0)
    await waiting.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    kept = [path.read_bytes() for path in files(tmp_path, ".corrupt")]
    assert sorted(kept) == sorted([b"an earlier one of the same name", content.replace(b"one", b"0ne")])


async def test_it_starts_in_a_folder_of_anything(tmp_path: Path, quick: None) -> None:
    chance = random.Random(3)
    for slot in ("room-0", "room-7", "room-x", "elsewhere", "room-0/folder.seg", "room-2.seg"):
        (tmp_path / slot).mkdir()
        for i in range(60):
            name = chance.choice([f"{i:016}.seg", f"{i}.seg", "9" * i + ".seg", f"{i}", f"{i}.txt", f"\udcff{i}.seg"])
            (tmp_path / slot / name).write_bytes(chance.randbytes(chance.choice([0, 1, 16, 100, 100_000])))
    (tmp_path / "room-1").write_bytes(b"a file")
    (tmp_path / "room-0" / "link.seg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "room-0" / "pipe.seg")
    (tmp_path / "room-7" / "large.seg").write_bytes(chance.randbytes(40 << 20))
    foreign = [path for path in tmp_path.rglob("*") if path.suffix != ".seg" or "x" in path.parts[-2]]
    began = time.process_time()  # of this process alone, however busy the machine is
    async with asyncio.timeout(PATIENCE_SECONDS):  # where it would wait at the pipe
        waiting = await opened(tmp_path)
    assert time.process_time() - began < 5
    assert waiting.rows == 0
    assert waiting.corrupt == len(files(tmp_path, ".corrupt")) > 20
    await waiting.append([b"works"])
    delivered: list[bytes] = []
    await waiting.replay(into(delivered))
    assert delivered == [b"works"]
    assert all(path.exists() for path in foreign)
    await waiting.close()
