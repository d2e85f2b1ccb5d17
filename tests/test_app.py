"""The application: what runs beside the requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from waiting import until

from statsd import app, metrics


async def test_lag_of_the_event_loop_is_measured(
    start: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that holds the loop for 0.2 s is seen in the gauge."""
    monkeypatch.setattr(app, "LAG_SECONDS", 0.01)
    await start()

    async def lag_is_seen() -> bool:
        free_at = time.monotonic() + 0.2
        while time.monotonic() < free_at:
            pass
        for _ in range(5):  # the measuring task wakes in one of the next rounds of the loop
            await asyncio.sleep(0)
        return bool(metrics.LOOP_LAG_SECONDS._value.get() > 0.1)

    await until(lag_is_seen)
