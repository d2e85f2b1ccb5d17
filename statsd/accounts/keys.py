"""Keys: the API tokens of programs, and share links to one view. Only the SHA-256 of a secret is stored.

A secret has 192 random bits, so its digest needs neither salt nor a slow hash, and the look-up by digest takes as long
for a wrong secret as for a right one. The prefix of a secret lets secret scanners find it in code and logs.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
from aiohttp import web

from statsd.accounts.checks import BatchedChecks
from statsd.accounts.tokens import INVALID
from statsd.database import sql
from statsd.database.pool import Pool, ask
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, Unauthenticated
from statsd.settings import WAYS_IN
from statsd.web.texts import name_of, spellings

TOKEN, LINK = "stl_", "shl_"
SECRET_BYTES = 24
SECRET = re.compile(rf"({TOKEN}|{LINK})[0-9a-f]{{{2 * SECRET_BYTES}}}", re.ASCII)
SCOPES = ("read", "metrics", "admin", *(f"ingest:{name}" for name in WAYS_IN))
"""What an API token may be for. `admin` includes `read` and `metrics`."""
VIEWS = ("logins", "webhooks", "usage", "transfers", "pageviews")
"""What a share link may show."""
VIEW = "view:"
"""Begins the scope of a share link."""
NAME_CHARACTERS = 64
MOST_DAYS = 3_650
USED_SECONDS = 60.0  # between two notes of the last use of a key
QUERIES = sql.load("keys")


class Key(msgspec.Struct, frozen=True):
    """A key that counts: its id, name and scopes, and its end in Unix seconds."""

    id: int
    name: str
    scopes: frozenset[str]
    ends: float | None


class KeyChecks(BatchedChecks[bytes, Key]):
    """Finds the keys of digests, and notes their last use at most once a minute."""

    def __init__(self, pool: Pool, is_away: Callable[[], bool] = lambda: False) -> None:
        super().__init__(pool, is_away)
        self._used: dict[int, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def of(self, secret: str) -> Key:
        """Return the key of a secret. Raises Unauthenticated, DatabaseAway and Overloaded."""
        if not SECRET.fullmatch(secret):
            raise Unauthenticated(INVALID)
        key = await self.seen(digest(secret))
        if key.ends is not None and key.ends <= time.time():  # seen before an outage, and ended since
            raise Unauthenticated(INVALID)
        self._note(key.id)
        return key

    async def _find(self, batch: Sequence[bytes]) -> list[Key | None]:
        keys: list[Key | None] = [None] * len(batch)
        for number, id, name, scopes, expires_at in await self._pool.fetch(QUERIES["of_digests"], batch):
            keys[number - 1] = Key(id, name, frozenset(scopes), expires_at and expires_at.timestamp())
        return keys

    def _note(self, id: int) -> None:
        """Note the last use of a key, beside the request that uses it."""
        now = time.monotonic()
        if now - self._used.get(id, -USED_SECONDS) >= USED_SECONDS:
            self._used[id] = now
            note = asyncio.create_task(self._store_use(id), name="last use of a key")
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    async def _store_use(self, id: int) -> None:
        with suppress(DatabaseAway, asyncpg.PostgresError):  # a database that is read-only still reads keys
            await ask("keys", self._pool.execute(QUERIES["used"], id))


def digest(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def link_name(view: str) -> str:
    """Return a name for a share link that got none."""
    return f"{view}-{secrets.token_hex(3)}"


class Keys:
    """Makes, lists and revokes API tokens (`is_link` false) or share links (true).

    Every method raises DatabaseAway if the database does not answer.
    """

    def __init__(self, pool: Pool, *, is_link: bool) -> None:
        self._pool = pool
        self._is_link = is_link
        self._kind = "share link" if is_link else "token"

    async def add(self, name: str, scopes: Sequence[str], days: int | None) -> tuple[str, asyncpg.Record]:
        """Return the secret of a new key, which cannot be read again, and its row.

        Raises InvalidEvent with all that is wrong, and BadRequest (409) for a name that is taken.
        """
        if faults := self._faults(name, scopes, days):
            raise InvalidEvent(faults)
        name = name_of(name, NAME_CHARACTERS)
        secret = (LINK if self._is_link else TOKEN) + secrets.token_hex(SECRET_BYTES)
        ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
        values = (name, digest(secret), list(dict.fromkeys(scopes)), ends)
        row = await ask("keys", self._pool.fetchrow(QUERIES["add"], *values))
        if row is None:
            raise BadRequest(409, f"there is a token or a share link named {name} already")
        return secret, row

    def _faults(self, name: str, scopes: Sequence[str], days: int | None) -> list[str]:
        known = [f"{VIEW}{view}" for view in VIEWS] if self._is_link else SCOPES
        faults = []
        try:
            name_of(name, NAME_CHARACTERS)
        except ValueError:
            faults.append(f"name must be a string of 1 to {NAME_CHARACTERS} printable characters, not blank")
        if not scopes or any(scope not in known for scope in scopes):
            what = f"view must be one of {', '.join(VIEWS)}" if self._is_link else f"scopes: some of {', '.join(known)}"
            faults.append(what)
        if days is not None and not 1 <= days <= MOST_DAYS:
            faults.append(f"days must be a whole number from 1 to {MOST_DAYS}")
        return faults

    async def list(self) -> Sequence[asyncpg.Record]:
        """Return id, name, scopes, created_at, expires_at and last_used of every key, by name."""
        return await ask("keys", self._pool.fetch(QUERIES["list"], self._is_link))

    async def revoke(self, name: str) -> None:
        """Revoke a key: it is worthless from now on. Raises BadRequest (404) if there is none of this name."""
        for one in spellings(name):
            if await ask("keys", self._pool.fetchval(QUERIES["revoke"], one, self._is_link)) is not None:
                return
        raise BadRequest(404, f"there is no {self._kind} named {name}")


KEY_CHECKS: web.AppKey[KeyChecks] = web.AppKey("key checks")
