"""Every error the program raises on purpose.

    StatsError                                                            exit 1, HTTP 500
    ├── UsageError               a command lacks an argument              exit 2
    ├── CannotListen             the port or the address cannot be had    exit 1
    ├── SettingsError            a setting is wrong                       exit 3
    ├── DatabaseError            the database as a whole cannot be used   exit 4, HTTP 503
    │   ├── EmbeddedServerError  the embedded PostgreSQL cannot serve     exit 4
    │   ├── DatabaseAway         no answer, or the commit is unknown      exit 4, HTTP 503
    │   └── SchemaTooNew         migrated by a newer program              exit 5
    ├── InvalidEvent             an event breaks its contract             HTTP 400
    ├── AccountRefused           the name is taken, or the login wrong    HTTP 400
    ├── Unauthenticated          no token, or an invalid one              HTTP 401
    ├── Forbidden                a valid token, but not for this          HTTP 403
    ├── TooManyAttempts          too many wrong logins                    HTTP 429
    ├── KeyReused                same idempotency key, another event      HTTP 422
    ├── BadRequest               the request itself is wrong              HTTP `status`
    ├── SomethingWrong           `doctor` found faults                    exit 6
    └── Overloaded               full or stopping: nothing was stored     HTTP 503

A message says what is wrong, then what would be right. The HTTP statuses are assigned in `web/errors.py`; a command
ends with the `exit_code` (`commands/main.py`).
"""

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any


class StatsError(Exception):
    """Root of the tree; a command that fails with it ends with `exit_code`. Metrics count a refusal by its `reason`."""

    exit_code = 1
    reason = ""  # as its status says (web/meter.py)


class UsageError(StatsError):
    """A command cannot do what its arguments say; the usage of the command is shown, too."""

    exit_code = 2


class CannotListen(StatsError):
    """The server cannot listen on its port or address; `user` is who listens there, if that is known."""

    def __init__(self, host: str, port: int, error: OSError, user: str = "") -> None:
        # asyncio repeats the address in the text of the error; a name that is unknown has no number of the system.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        by = f" by {user}" if user else ""
        super().__init__(f"cannot listen on {host}:{port}: {reason}{by}{_way_out(port, error)}")


def _way_out(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f". Stop that, or choose another port: --port {port % 65535 + 1}, or --port 0 for any free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return ". Ports below 1024 are for root: choose --port 8080, with a proxy in front of it"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return ". --host must be an address of this machine: 127.0.0.1 for its own users, 0.0.0.0 for every network"
    return ""


class SettingsError(StatsError):
    """One or more settings are wrong; `faults` has a sentence for each."""

    exit_code = 3

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class DatabaseError(StatsError):
    """The database as a whole cannot be used."""

    exit_code = 4
    reason = "database_away"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL cannot be created, started or reached."""


class DatabaseAway(DatabaseError):
    """PostgreSQL did not answer, or it is unknown whether it committed."""


class SchemaTooNew(DatabaseError):
    """The database has migrations that this program does not know."""

    exit_code = 5


class InvalidEvent(StatsError):
    """An event breaks its contract; `faults` lists everything wrong with it, in field order.

    `rule` names the constraint if PostgreSQL refused the event.
    """

    def __init__(self, faults: Sequence[Any], rule: str = "") -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)
        self.rule = rule


class AccountRefused(StatsError):
    """An account cannot be created, changed or logged in to; the message tells nothing that the client did not know."""


class Unauthenticated(StatsError):
    """The request has no token, or an invalid one."""


class Forbidden(StatsError):
    """The request's token is valid, but does not allow this."""


class TooManyAttempts(StatsError):
    """The login was not tried; it may be tried again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class KeyReused(StatsError):
    """An idempotency key was used before with another event."""


class BadRequest(StatsError):
    """The request itself is wrong; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Overloaded(StatsError):
    """Nothing was stored; a retry after `retry_after` seconds may succeed."""

    reason = "overloaded"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SomethingWrong(StatsError):
    """`doctor` found faults."""

    exit_code = 6
