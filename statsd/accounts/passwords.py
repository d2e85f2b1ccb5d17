"""Passwords: argon2id (RFC 9106) in two threads, never on the event loop.

A hash takes 19 MiB and tens of milliseconds on purpose. So the work is bounded: two hashes at a time, up to 20 requests
waiting, and 503 for the others.
"""

import asyncio
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from statsd.errors import Overloaded

RULE = msgspec.Meta(min_length=8, max_length=1_024, description="a string of 8 to 1024 characters")
"""Only the length of a new password counts; any characters are allowed."""
THREADS = 2
MOST_WAITING = 20
MOST_WAITING_OF_ONE = 10  # per address, which leaves room for others
NICENESS = 10  # events and frames have priority

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Verified if there is no such user, so the answer takes as long as for a user who exists. Its salt and its
# value are zeros, which no password leads to; to make a real one would add 20 ms to every start.
_COSTS = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
_DUMMY_HASH = f"$argon2id$v=19${_COSTS}${'A' * 22}${'A' * 43}"


def _canonical(password: str) -> bytes:
    """Return the NFKC form: different keyboards type the same character in different ways."""
    return unicodedata.normalize("NFKC", password).encode()


def _verify(hashed: str | None, password: str) -> bool:
    try:
        return _HASHER.verify(hashed or _DUMMY_HASH, _canonical(password)) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def _yield_to_others() -> None:
    if sys.platform == "linux":  # niceness is per thread here; elsewhere it would slow the whole program
        os.nice(NICENESS)


class Passwords:
    """Hashes and verifies passwords. A login or a registration does all its work inside a `slot`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "password", initializer=_yield_to_others)
        self._slots = asyncio.Semaphore(THREADS)
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, address: str) -> AsyncIterator[None]:
        """Wait for one of two slots. Raises Overloaded at once if too many wait already."""
        if self._waiting.total() >= MOST_WAITING or self._waiting[address] >= MOST_WAITING_OF_ONE:
            raise Overloaded("too many people log in right now: try again in a moment", retry_after=2)
        self._waiting[address] += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= Counter([address])  # which also drops an address at zero
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """Return the hash with its parameters, in the PHC string format."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _HASHER.hash, _canonical(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password matches the hash. Without a hash: False, after the same time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _verify, hashed, password)

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(hashed)

    def close(self) -> None:
        """Finish the running hashes and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
