"""Server-sent events, read as a browser would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import ClientResponse
from waiting import PATIENCE_SECONDS


class Events:
    """What a `text/event-stream` answer says, event by event, as a browser would read it."""

    def __init__(self, response: ClientResponse) -> None:
        assert response.status == 200, response
        assert response.content_type == "text/event-stream"
        self._lines = response.content
        self.id = ""
        self.comments = 0
        self.retry: int | None = None

    async def next(self, patience: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
        """Return the data of the next event. Raises EOFError where the answer ends before it."""
        data = ""
        async with asyncio.timeout(patience):
            while line := (await self._lines.readline()).decode():
                assert line.endswith("\n")
                name, _, value = line.rstrip("\n").partition(": ")
                if not name and not value and data:
                    event: list[dict[str, Any]] = json.loads(data)
                    return event
                self.comments += line.startswith(":")
                self.retry = int(value) if name == "retry" else self.retry
                self.id = value if name == "id" else self.id
                data += value if name == "data" else ""
        raise EOFError

    async def until(self, condition: Callable[[list[dict[str, Any]]], Any], patience: float = PATIENCE_SECONDS) -> Any:
        """Read events until one is as it should be, and return it."""
        async with asyncio.timeout(patience):
            while not condition(found := await self.next()):
                pass
        return found

    async def total(self, count: int, patience: float = PATIENCE_SECONDS) -> None:
        """Read events until their counts add up."""
        await self.until(lambda bins: sum(bin["count"] for bin in bins) == count, patience)
