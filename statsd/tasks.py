"""Background tasks: named, watched, and ended by who started them. One that dies ends the program, loudly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

FAILED: web.AppKey[asyncio.Future[None]] = web.AppKey("failed")
"""Holds the error of a background task that died: the program stops rather than limp."""

log = logging.getLogger("statsd.tasks")


def watch(app: web.Application, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task whose death is heard: an error in it ends the program."""
    task = asyncio.create_task(work, name=name)

    def heard(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("%s died", name, exc_info=error)
            if not app[FAILED].done():
                app[FAILED].set_exception(error)

    task.add_done_callback(heard)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is gone; its error was heard already."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


@asynccontextmanager
async def background(app: web.Application, name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task for as long as the block."""
    task = watch(app, name, work)
    try:
        yield
    finally:
        await ended(task)
