"""What the doctor finds on the machine, each by making its cause."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from statsd.doctor import machine
from statsd.doctor.finding import Finding
from statsd.ingest.spool import Spool
from statsd.settings import Settings

NOBODY = 65534


def only(findings: Iterator[Finding], level: str, says: str) -> Finding:
    """Return the one finding that is not ok, which must be this one and have a mend."""
    (finding,) = [one for one in findings if one.level != "ok"]
    assert (finding.level, bool(finding.mend)) == (level, True)
    assert says in finding.text
    assert str(finding).startswith(f"{level:<8} ")
    return finding


@pytest.fixture
def settings(folder: Path) -> Settings:
    folder.chmod(0o700)
    return Settings(data_dir=folder)


def test_all_is_well_in_a_new_folder(settings: Settings) -> None:
    for check in (machine.settings, machine.permissions, machine.disk, machine.spool):
        assert [finding.level for finding in check(settings)] == ["ok"], check


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"webhook_api_key": "secret"}, "WEBHOOK_API_KEY has 6 characters"),
        ({"sender_secrets": {"github": ("x" * 16, "short")}}, "WEBHOOK_GITHUB_SECRET has a secret of 5 characters"),
        ({"sender_secrets": {"githbu": ("x" * 16,)}}, "did you mean WEBHOOK_GITHUB_SECRET?"),
        ({"trusted_proxies": (ipaddress.ip_network("10.0.0.0/8"),)}, "TRUSTED_PROXIES trusts 10.0.0.0/8"),
        ({"host": "0.0.0.0"}, "anybody who reaches port 8080 of 0.0.0.0 can read all"),
    ],
)
def test_weak_settings_are_found(changes: dict[str, object], says: str) -> None:
    only(machine.settings(Settings(**changes)), "warning", says)  # type: ignore[arg-type]


def test_unknown_settings_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATS_RETENTION_DAY", "7")
    only(machine.settings(Settings()), "warning", "did you mean STATS_RETENTION_DAYS?")


def test_secrets_that_others_may_read_are_found(settings: Settings, folder: Path) -> None:
    secret = folder / "jwt_secret"
    secret.write_text("x")
    secret.chmod(0o640)
    assert only(machine.permissions(settings), "fault", "jwt_secret").mend == f"chmod 600 {secret}"
    secret.chmod(0o600)
    dotenv = folder / ".env"
    dotenv.touch(0o644)
    findings = machine.permissions(settings, dotenv)
    assert only(findings, "warning", "other users may read").mend == f"chmod 600 {dotenv}"


def test_folder_that_others_may_write_is_found(settings: Settings, folder: Path) -> None:
    folder.chmod(0o770)
    only(machine.permissions(settings), "fault", "may write the data folder")


def test_folder_that_this_user_cannot_write_is_found(settings: Settings, folder: Path) -> None:
    folder.chmod(0o500)
    user = os.getuid()
    if user == 0:  # root may write everywhere
        os.setreuid(NOBODY, -1)
    try:
        only(machine.permissions(settings), "fault", "cannot write the data folder")
    finally:
        if user == 0:
            os.setreuid(user, -1)
        folder.chmod(0o700)


def test_folder_that_is_not_there_is_found(folder: Path) -> None:
    only(machine.permissions(Settings(data_dir=folder / "nowhere")), "warning", "does not exist")


def test_full_disk_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=folder / "nowhere", spool_min_free=1 << 60)
    only(machine.disk(settings), "fault", "the spool takes nothing")
    monkeypatch.setattr(machine, "LOW_BYTES", 1 << 60)
    monkeypatch.setattr(machine, "LOW_SHARE", 1.0)
    only(machine.disk(Settings(data_dir=folder, spool_min_free=0)), "warning", "are free")


async def test_events_that_wait_are_found_with_and_without_their_server(settings: Settings, folder: Path) -> None:
    spool = Spool(folder / "spool", min_free=0)
    await spool.open()
    await spool.append([b"one", b"two"])
    only(machine.spool(settings), "warning", "2 accepted events wait")
    await spool.close()
    only(machine.spool(settings), "fault", "no server runs that would store them")


def test_damaged_files_are_found(settings: Settings, folder: Path) -> None:
    slot = folder / "spool/room-0"
    slot.mkdir(parents=True)
    (slot / "1.corrupt").touch()
    only(machine.spool(settings), "fault", "1.corrupt is damaged")


def test_clock_without_a_time_server_is_found(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = folder / "timedatectl"
    program.write_text("#!/bin/sh\necho no\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    only(machine.clock_source(settings), "warning", "no time server")
    program.write_text("#!/bin/sh\necho yes\n")
    assert list(machine.clock_source(settings)) == []
