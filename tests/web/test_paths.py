"""Paths of pages: one spelling for each page (RFC 3986 §6.2.2)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statsd.streams.pageviews.sent import DECODER
from statsd.web.paths import LONGEST, REMEMBERED, page

EVENT = {"site_id": "a", "event_type": "b", "path": "/", "timestamp": "2026-11-21T10:30:00Z"}

ENCODER = msgspec.json.Encoder()
SPELLINGS = {
    "/caf%C3%A9": ["/caf%c3%a9", "/caf%C3%a9", "/café", "/cafe\u0301", "/cafe%CC%81", "/%63af%c3%A9"],
    "/%E5%B7%A5%E5%85%B7": ["/工具", "/%e5%b7%a5%e5%85%b7", "/工%e5%85%b7"],
    "/%F0%9F%98%80": ["/\U0001f600", "/%f0%9f%98%80"],
    "/~ann/-_.x": ["/%7Eann/%2D%5F%2e%78", "/%7eann/-_.x"],
    "/a%2Fb%3Fc%23d%25e%20f": ["/a%2fb%3fc%23d%25e%20f"],  # reserved: decoded it would be another page
    "/a/c": ["/a/./c", "/a/b/../c", "/a/%2e/c", "/a/b/%2E%2e/c", "/../a/c", "/a/b/c/../../c"],
    "/a/": ["/a/.", "/a/b/..", "/a/b/c/../.."],
    "/": ["/.", "/..", "/../..", "/./", "/a/.."],
    "/a?x=/../y": ["/b/../a?x=/../y"],  # only the path itself has segments
    "/.well-known/x": ["/%2Ewell-known/x"],
    "/%E2%80%8Bx": ["/\u200bx", "/%e2%80%8bx"],  # the invisible is seen
}
AS_SENT = [
    "/", "//", "//a//b", "/a b", "/100%", "/%", "/%4", "/%zz", "/%FF", "/%E0%80%80", "/%00", "/%2F", "/%ED%A0%80",
    "/%C0%AF", "/%FE%FF", "/%F5%80%80%80", "/a+b", "/...", "/a..b", "..", "a/../b", "screen: home", "/%E5%B7", "/a/...",
    "https://shop.example/a?b=c#d", "/[x]|{y}", "/%4%31",
]  # fmt: skip


def stored(path: str) -> Any:
    """The path of a single event, of an event in an array, and of an event in a line."""
    event = {**EVENT, "path": path}
    single: Any = DECODER.decode(msgspec.json.encode(event))
    array: Any = DECODER.decode(msgspec.json.encode([EVENT, event]))
    lines: Any = DECODER.decode(ENCODER.encode_lines([EVENT, event]), lines=True)
    slow: Any = DECODER.convert(event)
    batches = [event for batch in (array, lines) for slice in batch for event in slice[1:]]
    paths = [event.path for event in (single, *batches, slow)]
    assert len({*paths}) == 1
    return paths[0]


@pytest.mark.parametrize(("path", "spelling"), [(path, one) for path, all in SPELLINGS.items() for one in (path, *all)])
def test_page_has_one_spelling(path: str, spelling: str) -> None:
    assert stored(spelling) == path


@pytest.mark.parametrize("path", AS_SENT)
def test_path_with_nothing_to_normalise_stays_as_it_was_sent(path: str) -> None:
    assert stored(path) == path


def test_bytes_that_are_not_utf_8_keep_all_but_the_case_of_their_digits() -> None:
    assert stored("/%ff%c3%a9%c3/é") == "/%FF%C3%A9%C3/%C3%A9"


ESCAPES = ["%2e", "%2F", "%C3", "%a9", "%cc%81", "%34", "%E5%B7%A5"]
PIECES = st.sampled_from([*"/.%?#+ aé工\u0301\u212a\u037e\U0001f600", *ESCAPES])
PATHS = st.lists(PIECES, min_size=1, max_size=12).map("".join).filter(str.strip)


@given(PATHS | st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip))
def test_spelling_of_a_page_is_ascii_and_has_no_other_spelling(path: str) -> None:
    once = page(path)
    assert page(once) == once
    assert once.isascii()
    assert not re.search(r"(?<!%)(?<!%[0-9A-Fa-f])%(?:[0-9A-F][a-f]|[a-f][0-9A-Fa-f])", once)
    assert not re.search(r"/\.\.?(/|\Z)", re.split(r"[?#]", once)[0] if once.startswith("/") else "")


@pytest.mark.parametrize("path", ["", " ", "\u2003", "/a\0", "/a\n", "/\x85", "/\u2028"])
def test_blank_path_and_control_characters_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        page(path)


def test_paths_that_are_remembered_take_bounded_memory() -> None:
    page.cache_clear()
    for number in range(REMEMBERED + 100):
        page(f"/{number}")
    with pytest.raises(ValueError, match="not a path"):
        page("/" + "x" * LONGEST)
    assert page.cache_info().currsize == REMEMBERED


async def test_spellings_of_a_page_are_one_row(client: Any) -> None:
    spellings = ["/caf%c3%a9", "/caf%C3%A9", "/café", "/cafe\u0301"]
    views = [{**EVENT, "event_type": "page_view", "path": path} for path in spellings]
    for body in (*views, views):
        response = await client.post("/event", json=body)
        assert response.status == 202, await response.text()
    report = await (await client.get("/stats", params={"site_id": "a", "date": "2026-11-21"})).json()
    assert report["top_paths"] == [{"path": "/caf%C3%A9", "views": 8}]


async def test_event_repeated_in_another_spelling_counts_once(client: Any) -> None:
    for path in ("/café", "/caf%c3%a9"):
        response = await client.post("/event", json={**EVENT, "path": path, "event_id": "1"})
        assert response.status == 202, await response.text()
