"""Passwords: argon2id in two threads of its own, never on the event loop.

A hash takes 19 MiB and tens of milliseconds on purpose, so the work is bounded: two at once, a few waiting, and whoever
comes beyond that is asked to come again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from statsd.errors import Overloaded

SHORTEST = 8
LONGEST = 1_024
THREADS = 2
MOST_WAITING = 20
MOST_WAITING_OF_ONE = 10  # one address leaves room for the others
NICENESS = 10  # events and frames go first

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Verified where there is no such name, so that the answer takes as long; nobody knows its password.
_NOBODYS = _HASHER.hash(os.urandom(32))

T = TypeVar("T")


def fault(given: object) -> str | None:
    """Return what is wrong with a new password, or None. Any characters are right; only their number counts."""
    if isinstance(given, str) and SHORTEST <= len(given) <= LONGEST:
        return None
    return f"password must be a string of {SHORTEST} to {LONGEST} characters"


def _canonical(password: str) -> bytes:
    """The same password typed on another keyboard is the same password (NFKC)."""
    return unicodedata.normalize("NFKC", password).encode()


def _verify(hashed: str | None, password: str) -> bool:
    try:
        return _HASHER.verify(hashed or _NOBODYS, _canonical(password)) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def _yield_to_others() -> None:
    if sys.platform == "linux":  # where niceness belongs to a thread; elsewhere it would slow the whole program
        os.nice(NICENESS)


class Passwords:
    """Hashes and verifies. `turn` is taken around everything a login or a registration does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "password", initializer=_yield_to_others)
        self._slots = asyncio.Semaphore(THREADS)
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for one of two places. Raises Overloaded, with nothing done, when too many wait already."""
        if self._waiting.total() >= MOST_WAITING or self._waiting[address] >= MOST_WAITING_OF_ONE:
            raise Overloaded("too many people log in right now: try again in a moment", retry_after=2)
        self._waiting[address] += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= Counter([address])  # and what is zero is gone
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """Return the hash with its parameters, in the PHC string format."""
        return await self._run(lambda: _HASHER.hash(_canonical(password)))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password of the hash. Without a hash it takes as long, and never is."""
        return await self._run(lambda: _verify(hashed, password))

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than are used now."""
        return _HASHER.check_needs_rehash(hashed)

    def close(self) -> None:
        """End the threads after what they do now."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
