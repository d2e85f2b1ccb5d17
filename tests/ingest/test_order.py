"""What keeps order through an outage: the keys of records in the spool, and times that only increase."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from disks import opened

from statsd.ingest.order import Clock, Keys, key_of, key_of_record
from statsd.ingest.outage import _encode
from statsd.streams import STREAMS, logins, transfers

KEY = key_of_record(STREAMS)
ITEM, OWNER, ID = (f"01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d{end}" for end in ("01", "02", "03"))


def test_key_of_a_record_is_that_of_its_row() -> None:
    now = datetime.now(UTC)
    for stream, row in ((transfers.ITEMS, (ITEM, OWNER, now)), (transfers.TRANSFERS, (ID, now, OWNER, ITEM))):
        key = key_of(stream)
        assert key is not None
        assert KEY(_encode(stream.name, row)) == key(row) == ITEM
    assert key_of(logins.STREAM) is None


@pytest.mark.parametrize(
    "payload", [b'["logins","x"]', b'["items"', b'["transfers",1]', b"nonsense", b"5", b'["no",1]']
)
def test_other_records_have_no_key(payload: bytes) -> None:
    assert KEY(payload) is None


def test_keys_are_counted_until_each_is_removed() -> None:
    keys = Keys()
    counters = [keys.add(key) for key in ("a", "b", "a")]
    keys.remove(counters[:1])
    assert ("a" in keys, "b" in keys, keys.records) == (True, True, 2)
    keys.remove(counters[1:])
    assert ("a" in keys, "b" in keys, keys.records) == (False, False, 0)


async def test_keys_count_from_append_and_from_a_start_until_their_file_is_delivered(tmp_path: Path) -> None:
    first = await opened(tmp_path, key=KEY)
    await first.append([f'["items","{ITEM}"]'.encode(), b'["logins","x"]'])
    assert (ITEM in first.keys, first.keys.records) == (True, 1)
    await first.close()
    second = await opened(tmp_path, key=KEY)
    assert (ITEM in second.keys, second.keys.records) == (True, 1)

    async def fail(batch: list[bytes]) -> None:
        assert ITEM in second.keys
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await second.replay(fail)
    assert (ITEM in second.keys, second.keys.records) == (True, 1)

    async def requeue(batch: list[bytes]) -> None:
        await second.append(batch[:1])

    await second.replay(requeue)
    assert (ITEM in second.keys, second.keys.records) == (True, 1)

    async def deliver(batch: list[bytes]) -> None:
        assert ITEM in second.keys

    await second.replay(deliver)
    assert (ITEM in second.keys, second.keys.records) == (False, 0)
    await second.close()


def test_times_increase_though_the_clock_stands_still_or_steps_back_a_little() -> None:
    clock = Clock()
    times = [clock.now() for _ in range(1_000)]
    assert times == sorted(set(times))
    first, second = clock.now(900_000), clock.now()  # as if the clock had been set back by less than a second
    assert second - first == timedelta(seconds=0.9)
    third, fourth = clock.now(3_600_000_000), clock.now()  # by almost an hour
    assert fourth - third < timedelta(seconds=60)
