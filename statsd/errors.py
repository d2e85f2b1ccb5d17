"""Every error the program raises on purpose.

    StatsError
    ├── SettingsError            a setting is wrong                          exit 3
    ├── DatabaseError            anything about the database as a whole      exit 4
    │   ├── EmbeddedServerError  the embedded PostgreSQL cannot serve        exit 4
    │   ├── DatabaseAway         no answer, or none that can be trusted      exit 4, HTTP 503
    │   └── SchemaTooNew         migrated by a newer program                 exit 5
    ├── InvalidEvent             the client sent something that is not true  HTTP 400
    ├── AccountRefused           a name is taken, or a login is wrong        HTTP 400
    ├── Unauthenticated          no token, or none that counts               HTTP 401
    ├── TooManyAttempts          a login that must wait                      HTTP 429
    ├── KeyReused                same idempotency key, another event         HTTP 422
    ├── BadRequest               the request itself is wrong                 HTTP as it says
    └── Overloaded               full, or stopping: nothing was taken        HTTP 503

The message of an error is a sentence for the person who reads it: what is wrong, then what would be right.
`web.py` turns them into responses, `__main__.py` into exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class StatsError(Exception):
    """Root of the tree; `exit_code` is what a command ends with when nobody handles it."""

    exit_code = 1


class SettingsError(StatsError):
    """One or more settings are wrong; `faults` has one sentence for each."""

    exit_code = 3

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class DatabaseError(StatsError):
    """The database as a whole cannot be used."""

    exit_code = 4


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL cannot be made, started or reached."""


class DatabaseAway(DatabaseError):
    """PostgreSQL did not answer, or its answer does not tell whether it committed."""


class SchemaTooNew(DatabaseError):
    """The database holds migrations this program does not know."""

    exit_code = 5


class InvalidEvent(StatsError):
    """An event breaks its contract; `faults` lists everything wrong with it, in field order.

    `rule` is the constraint it broke, where PostgreSQL refused it.
    """

    def __init__(self, faults: Sequence[Any], rule: str = "") -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)
        self.rule = rule


class AccountRefused(StatsError):
    """What was asked of an account cannot be done; the message never says more than the client knows already."""


class Unauthenticated(StatsError):
    """The request does not say who asks, or what it says is not believed."""


class TooManyAttempts(StatsError):
    """Nothing was tried; after `retry_after` seconds it may be."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class KeyReused(StatsError):
    """An idempotency key came again with another event."""


class BadRequest(StatsError):
    """The request cannot be granted; `status` is the HTTP status that says why, `details` has more, where there is."""

    def __init__(self, status: int, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.details = tuple(details)


class Overloaded(StatsError):
    """Nothing was taken; trying again after `retry_after` seconds may succeed."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
