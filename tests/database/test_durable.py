"""Small files that survive a crash: whole or not at all, and only their owner's."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from statsd.database import durable

Write = Callable[[Path, str], None]


@pytest.mark.parametrize("write", [durable.replace, durable.create])
def test_file_is_its_owners_alone_and_nothing_stays_beside_it(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_replace_overwrites_and_create_does_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    durable.create(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    durable.replace(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        durable.replace(tmp_path / "file", "half\ud800")
    assert (tmp_path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_link_that_another_user_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    durable.replace(tmp_path / "file", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "file").is_symlink()
