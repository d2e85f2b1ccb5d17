"""Logins in files: a login as clients send it, with its id and when it was stored."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams.logins.event import Login, check, row
from statsd.streams.logins.stream import STREAM
from statsd.streams.raw import Id, Raw, time_or_none
from statsd.web.decode import When


class RawLogin(Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored login."""

    id: Id | None = None
    created_at: When | None = None
    updated_at: When | None = None


def raw_row(login: RawLogin, id: UUID, settings: Settings) -> Row:
    """Return the values of the columns of `import`."""
    return (*row(login, id, settings.ip), time_or_none(login.created_at), time_or_none(login.updated_at))


IMPORTED = replace(
    STREAM,
    insert="import",
    columns={**STREAM.columns, "created_at": datetime | None, "updated_at": datetime | None},
)
RAW = (Raw(IMPORTED, RawLogin, check, raw_row, received="created_at"),)
