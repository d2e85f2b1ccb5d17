"""Session tokens (JWT, RFC 7519, signed with HS256) and the secret that signs them.

A token is accepted only if its algorithm, type, issuer, audience, lifetime and claims are those we write (RFC 8725).
"""

import os
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid4

import jwt
import msgspec

from statsd.database import durable
from statsd.errors import StatsError, Unauthenticated

SECONDS = 24 * 60 * 60
LEEWAY_SECONDS = 5  # after the end of a token, by the clock of the server that is asked
CLOCK_SECONDS = 300  # by which the clock of the server that made a token may be ahead
ISSUER: Final = "statsd-live"
ALGORITHM = "HS256"
SECRET_BYTES = 32
MOST_CHARACTERS = 4_096
REMEMBERED = 10_000  # tokens; one of ours has about 300 characters
INVALID = "Invalid or expired token"

_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_INVALID = (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)

_Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Claims(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The claims of a token. `iat` and `exp` are Unix seconds.

    `version` is the account's token version: a new password raises it, which revokes older tokens.
    """

    iss: Literal["statsd-live"] = ISSUER
    aud: Literal["statsd-live"] = ISSUER
    sub: str
    user_id: _Number = msgspec.field(name="userId")
    username: str
    version: _Number
    iat: _Time
    exp: _Time
    jti: UUID


class Tokens:
    """Signs tokens with the first secret and accepts those of every secret, so a secret can be replaced.

    Tokens whose signature was verified are remembered: the same characters mean the same claims until they expire.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._verified = lru_cache(REMEMBERED)(self._verify)

    def make(self, id: int, username: str, version: int) -> str:
        """Return a token of the user with this id; it is valid for 24 hours."""
        now = int(time.time())
        claims = Claims(
            sub=str(id), user_id=id, username=username, version=version, iat=now, exp=now + SECONDS, jti=uuid4()
        )
        return jwt.encode(msgspec.to_builtins(claims), self._secrets[0], algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """Return the claims of a valid token. Raises Unauthenticated without a reason."""
        claims = self._verified(token)
        if claims.exp <= time.time() - LEEWAY_SECONDS:
            raise Unauthenticated(INVALID)
        return claims

    def _verify(self, token: str) -> Claims:
        if len(token) <= MOST_CHARACTERS and _FORM.fullmatch(token):
            for secret in self._secrets:
                try:
                    return _verified_claims(token, secret)
                except _INVALID:
                    continue
        raise Unauthenticated(INVALID)


def _verified_claims(token: str, secret: bytes) -> Claims:
    decoded: dict[str, Any] = jwt.decode_complete(
        token,
        secret,
        algorithms=[ALGORITHM],
        audience=ISSUER,
        issuer=ISSUER,
        leeway=LEEWAY_SECONDS,
        options={"verify_iat": False},  # below, with another leeway
    )
    if not {"alg"} <= decoded["header"].keys() <= {"alg", "typ"} or decoded["header"].get("typ", "JWT") != "JWT":
        raise ValueError("another kind of token")
    claims = msgspec.convert(decoded["payload"], Claims)
    if claims.sub != str(claims.user_id) or not 0 < claims.exp - claims.iat <= SECONDS:
        raise ValueError("not a token of this program")
    if claims.iat > time.time() + CLOCK_SECONDS:
        raise ValueError("made in the future")
    return claims


def kept_secret(folder: Path) -> str:
    """Return the secret in the file `jwt_secret` of the folder; the first process makes it, readable only by its owner.

    Raises StatsError if the file cannot be written or read, or is too short.
    """
    path = folder / "jwt_secret"
    if not path.exists():
        try:
            durable.create(path, os.urandom(SECRET_BYTES).hex() + "\n")
        except OSError as error:
            raise StatsError(f"{path} cannot be written ({error.strerror or error}): set JWT_SECRET") from error
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StatsError(f"{path} cannot be read ({error}): remove it, or set JWT_SECRET") from error
    if len(secret) < SECRET_BYTES:
        raise StatsError(f"{path} holds less than {SECRET_BYTES} bytes: remove it, or set JWT_SECRET")
    return secret
