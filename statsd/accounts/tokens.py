"""Tokens: signed statements of who somebody is (JWT, HS256), and the secret they are signed with.

What a token says is believed only where everything about it is as we make it: RFC 8725 in one place.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import jwt
import msgspec

from statsd.errors import StatsError, Unauthenticated

SECONDS = 24 * 60 * 60
LEEWAY_SECONDS = 5  # clocks of several servers
ISSUER = "statsd-live"
ALGORITHM = "HS256"
SECRET_BYTES = 32
MOST_CHARACTERS = 4_096
INVALID = "Invalid or expired token"

_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_WRONG = (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)

_Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says; `version` is that of the account when the token was made."""

    iss: Literal["statsd-live"]
    aud: Literal["statsd-live"]
    sub: str
    user_id: _Number = msgspec.field(name="userId")
    username: str
    version: _Number
    iat: _Time
    exp: _Time
    jti: UUID


class Tokens:
    """Makes tokens with the first secret and believes those of all: two while one replaces the other."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def make(self, user_id: int, username: str, version: int) -> str:
        """Return a token for the next 24 hours."""
        now = int(time.time())
        payload = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": str(user_id),
            "userId": user_id,
            "username": username,
            "version": version,
            "iat": now,
            "exp": now + SECONDS,
            "jti": str(uuid4()),
        }
        return jwt.encode(payload, self._secrets[0], algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """Return what a token says. Raises Unauthenticated, which never says why."""
        if len(token) <= MOST_CHARACTERS and _FORM.fullmatch(token):
            for secret in self._secrets:
                try:
                    return _believed(token, secret)
                except _WRONG:
                    continue
        raise Unauthenticated(INVALID)


def _believed(token: str, secret: bytes) -> Claims:
    found: dict[str, Any] = jwt.decode_complete(
        token, secret, algorithms=[ALGORITHM], audience=ISSUER, issuer=ISSUER, leeway=LEEWAY_SECONDS
    )
    if not {"alg"} <= found["header"].keys() <= {"alg", "typ"} or found["header"].get("typ", "JWT") != "JWT":
        raise ValueError("another kind of token")
    claims = msgspec.convert(found["payload"], Claims)
    if claims.sub != str(claims.user_id) or not 0 < claims.exp - claims.iat <= SECONDS:
        raise ValueError("no token of ours")
    return claims


def kept_secret(folder: Path) -> str:
    """Return the secret kept in the folder; made once, readable for its owner alone, by whichever process comes first.

    Raises StatsError where what is kept cannot be used.
    """
    kept = folder / "jwt_secret"
    if not kept.exists():
        _keep(kept, os.urandom(SECRET_BYTES).hex())
    try:
        secret = kept.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StatsError(f"{kept} cannot be read ({error}): remove it, or set JWT_SECRET") from error
    if len(secret) < SECRET_BYTES:
        raise StatsError(f"{kept} holds less than {SECRET_BYTES} bytes: remove it, or set JWT_SECRET")
    return secret


def _keep(file: Path, secret: str) -> None:
    """Write a file that nobody ever sees half written, and that does not replace another process's."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".jwt_secret-")  # mode 0600
        with os.fdopen(handle, "w") as made:
            made.write(secret + "\n")
            made.flush()
            os.fsync(made.fileno())
        try:
            os.link(name, file)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)
    except OSError as error:
        raise StatsError(f"{file} cannot be written ({error.strerror or error}): set JWT_SECRET") from error
