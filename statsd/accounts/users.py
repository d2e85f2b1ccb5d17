"""Accounts: who may log in, and who is meant by a token."""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import web

from statsd.accounts import passwords
from statsd.accounts.passwords import Passwords
from statsd.accounts.throttle import Throttle
from statsd.accounts.tokens import INVALID, Claims
from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, PATIENCE_SECONDS, ask
from statsd.errors import AccountRefused, DatabaseAway, InvalidEvent, Overloaded, Unauthenticated
from statsd.settings import Network
from statsd.web.addresses import client_network
from statsd.web.decode import PRINTABLE

GENDERS = ("Male", "Female", "Other")
OLDEST = 150
USERNAME_CHARACTERS = 64
REMEMBERED = 10_000
TAKEN = "Username already exists"
QUERIES = sql.load("accounts")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with an account, without the password."""

    id: int
    username: str
    age: int
    gender: str
    token_version: int


@dataclass(frozen=True, slots=True)
class Registration:
    """What a new account is made of."""

    username: str
    password: str
    age: int
    """A number, or its digits as a text."""
    gender: str


def registration(given: dict[str, Any]) -> Registration:
    """Return what was sent as a registration. Raises InvalidEvent in the words of contracts.md §3.2."""
    username, password, age, gender = (given.get(name) for name in ("username", "password", "age", "gender"))
    if any(value is None or value == "" for value in (username, password, age, gender)):
        raise InvalidEvent(["All fields are required"])
    years = _whole(age)
    faults = [
        _username_fault(username),
        passwords.fault(password),
        None if 0 <= years <= OLDEST else f"age must be a whole number from 0 to {OLDEST}",
        None if gender in GENDERS else f"gender must be one of {', '.join(GENDERS)}",
    ]
    if any(faults):
        raise InvalidEvent([fault for fault in faults if fault])
    return Registration(str(username), str(password), years, str(gender))


def _username_fault(given: object) -> str | None:
    if isinstance(given, str) and len(given) <= USERNAME_CHARACTERS and re.match(PRINTABLE, given):
        return None
    return f"username must be a string of 1 to {USERNAME_CHARACTERS} printable characters, not blank"


def _whole(age: object) -> int:
    """The number of an integer, or of a text of digits; -1 for everything else."""
    if isinstance(age, str):
        return int(age) if re.fullmatch(r"\d{1,3}", age, re.ASCII) else -1
    return age if isinstance(age, int) and not isinstance(age, bool) else -1


def key_of(username: str) -> str:
    """Return the form in which names are compared: case, width and spaces around make no other name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold()).strip()


class Accounts:
    """Makes accounts, checks passwords, and knows whom tokens mean."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], passwords: Passwords, throttle: Throttle) -> None:
        self._pool = pool
        self._passwords = passwords
        self._throttle = throttle
        self._seen: OrderedDict[UUID, User] = OrderedDict()

    async def register(self, given: Registration, address: str) -> User:
        """Make an account for somebody at an address, who is at home there from now on.

        Raises AccountRefused for a name that is taken, however many ask for it at once, TooManyAttempts and Overloaded.
        """
        await self._throttle.enter_new(address)
        key = key_of(given.username)
        if await self._found(key) is not None:
            raise AccountRefused(TAKEN)  # before a password is hashed for nothing
        async with self._passwords.turn(client_network(address)):
            made = await self.add(given)
        with suppress(DatabaseAway):  # the account is there: who hears otherwise would find the name taken
            await self._throttle.remember(key, address)
        return made

    async def add(self, given: Registration) -> User:
        """Make an account. Raises AccountRefused for a name that is taken."""
        hashed = await self._passwords.hash(given.password)
        values = (given.username, key_of(given.username), hashed, given.age, given.gender)
        made = await ask("accounts", self._pool.fetchrow(QUERIES["add"], *values))
        if made is None:
            raise AccountRefused(TAKEN)
        return User(**made)

    async def login(self, username: str, password: str, address: str) -> User:
        """Return who it is. Raises AccountRefused the same way and after the same time for a wrong name or password,
        TooManyAttempts, and Overloaded.
        """
        if _username_fault(username) or passwords.fault(password):
            raise AccountRefused("Invalid credentials")  # nobody can have these
        key = key_of(username)
        attempt = await self._throttle.enter(key, address)
        try:
            async with self._passwords.turn(client_network(address)):
                user = await self._verified(key, password)
        except Overloaded:
            await self._throttle.withdraw(attempt)
            raise
        await self._throttle.succeed(attempt)
        return user

    async def _verified(self, key: str, password: str) -> User:
        found = await self._found(key)
        hashed = found["password"] if found else None
        if not await self._passwords.verify(hashed, password) or found is None or hashed is None:
            raise AccountRefused("Invalid credentials")
        if self._passwords.is_outdated(hashed):
            again = await self._passwords.hash(password)
            await ask("accounts", self._pool.execute(QUERIES["rehash"], found["id"], hashed, again))
        return User(*(found[name] for name in User.__slots__))

    async def _found(self, key: str) -> asyncpg.Record | None:
        return await ask("accounts", self._pool.fetchrow(QUERIES["find"], key))

    async def user_of(self, claims: Claims, patience: float = PATIENCE_SECONDS) -> User:
        """Return whom a token means. Raises Unauthenticated for one that was revoked, and DatabaseAway."""
        query = self._pool.fetchrow(QUERIES["of_token"], claims.user_id, claims.version, claims.jti)
        found = await ask("accounts", query, patience)
        if found is None:
            self._seen.pop(claims.jti, None)
            raise Unauthenticated(INVALID)
        user = User(**found)
        self._seen[claims.jti] = user
        self._seen.move_to_end(claims.jti)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return user

    async def user_seen(self, claims: Claims) -> User:
        """The same; while the database is away, as this server saw the user last. Raises DatabaseAway for others."""
        seen = self._seen.get(claims.jti)
        if seen is None:
            return await self.user_of(claims)
        try:
            return await self.user_of(claims, AWAY_SECONDS)
        except DatabaseAway:
            return seen

    async def revoke(self, claims: Claims) -> None:
        """Make a token worthless before it expires."""
        self._seen.pop(claims.jti, None)
        await ask(
            "accounts", self._pool.execute(QUERIES["revoke"], claims.jti, datetime.fromtimestamp(claims.exp, UTC))
        )

    async def require(self, username: str) -> None:
        """Raise AccountRefused where nobody has this name."""
        if await self._found(key_of(username)) is None:
            raise AccountRefused(f"there is no user {username}")

    async def change_password(self, username: str, password: str) -> None:
        """Set a password, and make every token of the account worthless. Raises InvalidEvent, AccountRefused."""
        if wrong := passwords.fault(password):
            raise InvalidEvent([wrong])
        hashed = await self._passwords.hash(password)
        await self._change(username, self._pool.fetchval(QUERIES["change_password"], key_of(username), hashed))

    async def remove(self, username: str) -> None:
        """Remove an account; the clicks stay in the statistics. Raises AccountRefused."""
        await self._change(username, self._pool.fetchval(QUERIES["remove"], key_of(username)))

    async def _change(self, username: str, change: Coroutine[Any, Any, Any]) -> None:
        if await ask("accounts", change) is None:
            raise AccountRefused(f"there is no user {username}")

    async def samples(self) -> int:
        """Return how many accounts have a password that everybody knows."""
        number: int = await ask("accounts", self._pool.fetchval(QUERIES["samples"]))
        return number


@asynccontextmanager
async def open_accounts(pool: asyncpg.Pool[asyncpg.Record], exempt: Sequence[Network] = ()) -> AsyncIterator[Accounts]:
    """Yield the accounts; their threads end with the block. Logins from `exempt` networks are not throttled."""
    with closing(Passwords()) as made:
        yield Accounts(pool, made, Throttle(pool, exempt))


ACCOUNTS: web.AppKey[Accounts] = web.AppKey("accounts")
