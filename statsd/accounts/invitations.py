"""Invitations: each lets one person register, also where registration is closed.

Only the SHA-256 of a secret is stored. It has 192 random bits, so its digest needs no salt.
"""

import hashlib
import secrets
from datetime import datetime

from statsd.database import sql
from statsd.database.pool import Pool, ask
from statsd.errors import BadRequest

PREFIX = "inv_"
SECRET_BYTES = 24
MOST_DAYS = 365
WORTHLESS = "this invitation was used or has ended: ask for another one"
QUERIES = sql.load("accounts")


def digest(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


async def make(pool: Pool, role: str, days: int) -> tuple[str, datetime]:
    """Return the secret of a new invitation for an account of this role, and its end."""
    secret = PREFIX + secrets.token_hex(SECRET_BYTES)
    return secret, await ask("invitations", pool.fetchval(QUERIES["invite"], digest(secret), role, days))


async def require(pool: Pool, secret: str) -> None:
    """Raise BadRequest (403) for an invitation that was used, has ended, or never was."""
    if not await ask("invitations", pool.fetchval(QUERIES["is_invited"], digest(secret))):
        raise BadRequest(403, WORTHLESS)
