"""Fixtures: hashing that waits."""

from __future__ import annotations

import threading

import pytest
from waiting import PATIENCE_SECONDS

from statsd.accounts import passwords


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event before which no password is verified, so that those who log in meanwhile wait or are refused."""
    begun = threading.Event()
    verify = passwords._verify

    def wait_and_verify(hashed: str | None, password: str) -> bool:
        return begun.wait(PATIENCE_SECONDS) and verify(hashed, password)

    monkeypatch.setattr(passwords, "_verify", wait_and_verify)
    return begun
