"""Ids: of the driver's class, and the same to everybody as those of the library."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from statsd.ingest.ids import KEYS, id_of, new_id


def test_id_is_written_compared_and_found_like_one_of_the_library() -> None:
    for id in (new_id(), id_of("logins", "a")):
        same = UUID(bytes=id.bytes)
        assert isinstance(id, UUID)
        assert (str(id), repr(id), hash(id), id.version) == (str(same), repr(same), hash(same), same.version)
        assert (id == same, same == id, {id: 1}[same], {same: 1}[id]) == (True, True, 1, 1)
        assert msgspec.json.encode([id]) == msgspec.json.encode([same])


@given(st.text(min_size=1), st.sampled_from(["logins", "webhooks"]))
def test_id_of_a_key_is_its_uuid5(key: str, stream: str) -> None:
    name = f"{stream}\n{key}".encode("utf-8", "backslashreplace").decode()
    assert id_of(stream, key) == uuid5(KEYS, name)
