"""Waiting for what a test needs: until it is true, and no longer than patience lasts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest

POLL_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
"""For one step on a machine that is busy with other things; only a test that fails waits so long."""


async def until(condition: Callable[[], Awaitable[Any] | Any], patience: float = PATIENCE_SECONDS) -> Any:
    """Wait until `condition` is true and return what it gave; fail when it never is."""
    give_up = time.monotonic() + patience
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < give_up, f"not true within {patience:g} s: {condition}"
        await asyncio.sleep(POLL_SECONDS)


def same(seconds: int, margin: float) -> None:
    """Wait for the next whole minute (60) or hour (3600) where fewer than `margin` seconds of this one are left.

    What is stored in one hour and asked for in the next is in other bins, and at midnight of another day or month.
    """
    left = seconds - time.time() % seconds
    if left < margin:
        time.sleep(left)


def missing(sentence: str) -> NoReturn:
    """Skip a test for what the machine lacks and the sentence says how to get; on CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
