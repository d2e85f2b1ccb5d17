"""The progress of long work: one bounded line on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import re
import sys

import pytest

from statsd.commands import progress
from statsd.commands.progress import Progress


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in re.split(r"\r\x1b\[K|\n", capsys.readouterr().err) if line]


def test_bar_has_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "120")
    shown = Progress("logins", 10_000, quiet=False)
    for total in (10, 1_000, 2_000):
        shown.show(total)
        clock.now += 15
    shown.show(9_999)
    first, second, third, fourth = lines(capsys)
    assert "ETA" not in first
    assert second == "[###...........................]  10%  1,000 logins  66.7/s  ETA 2:15"
    assert third.endswith("  ETA 2:00")
    assert fourth.endswith("ETA 0:00")
    shown = Progress("logins", 1_000_000, quiet=False)
    clock.now += 60
    shown.show(100)
    assert lines(capsys) == ["[..............................]   0%  100 logins  1.7/s  ETA 166:39:00"]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_line_fits_the_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    use_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = Progress("pageviews", 100_000_000, quiet=False)
    clock.now += 4_000
    shown.show(12_345_678)
    (line,) = lines(capsys)
    assert len(line) <= min(columns - 1, 80)
    assert line.lstrip("[#.] ").startswith("12%  12,345")


def test_file_gets_a_line_in_five_seconds_and_quiet_means_none(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, silent = Progress("logins", None, quiet=False), Progress("logins", 5, quiet=True)
    for total in range(1, 101):
        clock.now += 0.125
        shown.show(total)
        silent.show(total)
    shown.finish(100)
    silent.finish(100)
    assert lines(capsys) == ["40 logins  8.0/s", "80 logins  8.0/s", "100 logins in 12.5 s (8.0/s)"]
