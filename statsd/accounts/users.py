"""Accounts: register, log in, change a password, remove."""

import re
import unicodedata
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Annotated, Any, Literal, get_args, get_type_hints

import asyncpg
import msgspec
from aiohttp import web

from statsd.accounts import invitations, passwords
from statsd.accounts.passwords import Passwords
from statsd.accounts.throttle import Throttle
from statsd.database import sql
from statsd.database.pool import Pool, ask
from statsd.errors import AccountRefused, DatabaseAway, InvalidEvent, Overloaded
from statsd.settings import Network
from statsd.web.addresses import client_network
from statsd.web.decode import whole
from statsd.web.texts import NO_CONTROLS, PRINTABLE, name_of

Role = Literal["viewer", "admin"]
ROLES: tuple[str, ...] = get_args(Role)
Gender = Literal["Male", "Female", "Other"]
GENDERS: tuple[str, ...] = get_args(Gender)
OLDEST = 150
TAKEN = "Username already exists"
QUERIES = sql.load("accounts")

NAME_CHARACTERS = 64
MOST_TYPED = 4 * NAME_CHARACTERS  # characters of a name that is not in its normal form

USERNAME = msgspec.Meta(
    min_length=1,
    max_length=NAME_CHARACTERS,
    pattern=PRINTABLE,
    description=f"a string of 1 to {NAME_CHARACTERS} printable characters, not blank",
)


class Person(msgspec.Struct, frozen=True):
    """A user, as clients see it."""

    id: int
    username: str
    age: int
    gender: str


class User(Person, frozen=True):
    """An account without its password."""

    token_version: int
    role: str


class Registration(msgspec.Struct, frozen=True):
    """What a new account is made of."""

    username: Annotated[str, USERNAME]
    password: Annotated[str, passwords.RULE]
    age: Annotated[int, msgspec.Meta(ge=0, le=OLDEST, description=f"a whole number from 0 to {OLDEST}")]
    gender: Annotated[Gender, msgspec.Meta(description=f"one of {', '.join(GENDERS)}")]


KINDS = get_type_hints(Registration, include_extras=True)


def registration(body: dict[str, Any]) -> Registration:
    """Return the registration in a JSON body. `age` may be a number or its digits. Raises InvalidEvent."""
    fields = {name: body.get(name) for name in KINDS}
    if any(value is None or value == "" for value in fields.values()):
        raise InvalidEvent(["All fields are required"])
    age = fields["age"]
    fields["age"] = int(age) if isinstance(age, str) and re.fullmatch(r"\d{1,3}", age, re.ASCII) else whole(age)
    if isinstance(name := fields["username"], str):
        with suppress(ValueError):  # which the fault says
            fields["username"] = name_of(name, NAME_CHARACTERS)
    if faults := [fault for name, value in fields.items() if (fault := _fault(name, value))]:
        raise InvalidEvent(faults)
    return msgspec.convert(fields, Registration)


def _fault(name: str, value: object) -> str | None:
    """Return what is wrong with a field of a registration, or None."""
    try:
        if name == "username" and isinstance(value, str):
            name_of(value, NAME_CHARACTERS)
        else:
            msgspec.convert(value, KINDS[name])
    except (msgspec.ValidationError, ValueError):
        return f"{name} must be {KINDS[name].__metadata__[0].description}"
    return None


def key_of(username: str) -> str:
    """Return the form in which names are compared: case, width (NFKC) and outer spaces make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold()).strip()


class Accounts:
    """Makes and changes accounts, and checks passwords.

    Every method raises DatabaseAway if the database does not answer.
    """

    def __init__(self, pool: Pool, passwords: Passwords, throttle: Throttle) -> None:
        self._pool = pool
        self._passwords = passwords
        self._throttle = throttle

    async def register(self, registration: Registration, address: str, invitation: str | None = None) -> User:
        """Make an account, and remember its owner at this address. An invitation is used up.

        Raises AccountRefused for a name that is taken, BadRequest (403) for an invitation that does not count,
        TooManyAttempts and Overloaded.
        """
        await self._throttle.enter_new(address)
        if invitation is not None:
            await invitations.require(self._pool, invitation)
        key = key_of(registration.username)
        if await self._find(key) is not None:
            raise AccountRefused(TAKEN)  # before the expensive hash
        async with self._passwords.slot(client_network(address)):
            user = await (self.add(registration) if invitation is None else self._add_invited(registration, invitation))
        with suppress(DatabaseAway):  # the account exists: after an error a second try would find the name taken
            await self._throttle.remember(key, address)
        await self._logged_in(user)
        return user

    async def add(self, registration: Registration, role: str = "viewer") -> User:
        """Make an account. Raises AccountRefused for a name that is taken."""
        values = (*await self._columns(registration), role)
        row = await ask("accounts", self._pool.fetchrow(QUERIES["add"], *values))
        if row is None:
            raise AccountRefused(TAKEN)
        return User(**row)

    async def _columns(self, registration: Registration) -> tuple[Any, ...]:
        hashed = await self._passwords.hash(registration.password)
        name = registration.username
        return (name, key_of(name), hashed, registration.age, registration.gender)

    async def _add_invited(self, registration: Registration, secret: str) -> User:
        """Make an account of the role in the invitation, and use it up; both or neither."""
        values = (*await self._columns(registration), invitations.digest(secret))
        row = await ask("accounts", self._pool.fetchrow(QUERIES["add_invited"], *values))
        if row is None:
            await invitations.require(self._pool, secret)
            raise AccountRefused(TAKEN)
        return User(**row)

    async def login(self, username: str, password: str, address: str) -> User:
        """Return the user. Raises AccountRefused, TooManyAttempts and Overloaded.

        A wrong name and a wrong password give the same error after the same time.
        """
        is_name = len(username) <= MOST_TYPED and re.fullmatch(NO_CONTROLS, username)
        if not is_name or _fault("password", password):
            raise AccountRefused("Invalid credentials")  # no account can have these
        key = key_of(username)
        attempt = await self._throttle.enter(key, address)
        try:
            async with self._passwords.slot(client_network(address)):
                user = await self._verified(key, password)
        except Overloaded:
            await self._throttle.release(attempt)
            raise
        await self._throttle.succeed(attempt)
        await self._logged_in(user)
        return user

    async def _logged_in(self, user: User) -> None:
        with suppress(DatabaseAway):  # it is only for `user list`
            await ask("accounts", self._pool.execute(QUERIES["logged_in"], user.id))

    async def _verified(self, key: str, password: str) -> User:
        row = await self._find(key)
        hashed = row["password"] if row else None
        if not await self._passwords.verify(hashed, password) or row is None or hashed is None:
            raise AccountRefused("Invalid credentials")
        if self._passwords.is_outdated(hashed):
            new_hash = await self._passwords.hash(password)
            await ask("accounts", self._pool.execute(QUERIES["rehash"], row["id"], hashed, new_hash))
        return User(*(row[name] for name in User.__struct_fields__))

    async def _find(self, key: str) -> asyncpg.Record | None:
        return await ask("accounts", self._pool.fetchrow(QUERIES["find"], key))

    async def require(self, username: str) -> None:
        """Raise AccountRefused if there is no user of this name."""
        if await self._find(key_of(username)) is None:
            raise AccountRefused(f"there is no user {username}")

    async def change_password(self, username: str, password: str) -> None:
        """Set a password and revoke every token of the account. Raises InvalidEvent and AccountRefused."""
        if fault := _fault("password", password):
            raise InvalidEvent([fault])
        hashed = await self._passwords.hash(password)
        await self._change(username, self._pool.fetchval(QUERIES["change_password"], key_of(username), hashed))

    async def change_role(self, username: str, role: str) -> None:
        """Make a user an admin or a viewer; sessions go on with the new role. Raises AccountRefused."""
        await self._change(username, self._pool.fetchval(QUERIES["change_role"], key_of(username), role))

    async def list(self) -> Sequence[asyncpg.Record]:
        """Return id, username, role, created_at, last_login and sample of every account, by name."""
        return await ask("accounts", self._pool.fetch(QUERIES["list"]))

    async def remove(self, username: str) -> int:
        """Remove an account and return its id, under which its clicks are stored. Raises AccountRefused."""
        id: int = await self._change(username, self._pool.fetchval(QUERIES["remove"], key_of(username)))
        return id

    async def id_of(self, text: str) -> int | None:
        """Return the id of the account with this id, or else with this name; None if there is none."""
        id: int | None = await ask("accounts", self._pool.fetchval(QUERIES["id_of"], text, key_of(text)))
        return id

    async def remove_by_id(self, id: int) -> None:
        """Remove the account with this id, if there is one."""
        await ask("accounts", self._pool.execute(QUERIES["remove_by_id"], id))

    async def _change(self, username: str, change: Coroutine[Any, Any, Any]) -> Any:
        if (result := await ask("accounts", change)) is None:
            raise AccountRefused(f"there is no user {username}")
        return result

    async def samples(self) -> int:
        """Return how many sample accounts there are; their password is public."""
        count: int = await ask("accounts", self._pool.fetchval(QUERIES["samples"]))
        return count


@asynccontextmanager
async def open_accounts(pool: Pool, exempt: Sequence[Network] = ()) -> AsyncIterator[Accounts]:
    """Yield the accounts; their threads end with the block. Logins from `exempt` networks are not throttled."""
    with closing(Passwords()) as passwords:
        yield Accounts(pool, passwords, Throttle(pool, exempt))


ACCOUNTS: web.AppKey[Accounts] = web.AppKey("accounts")
