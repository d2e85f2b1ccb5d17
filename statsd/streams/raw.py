"""Raw rows in files: what `export` writes and `import` reads, one record a row, under the names of the ways in.

A record also has what the ways in do not accept, such as the id and the time at which the row was stored. A record
without them is an event as a client sends it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, get_args
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.pgproto import pgproto

from statsd.errors import InvalidEvent
from statsd.settings import Settings
from statsd.stream import Row, Stream
from statsd.web.decode import UUID_CHARACTERS, Batch, Decoder, E
from statsd.web.times import INSTANT_RULE, utc

UUID_RULE = "a UUID with dashes, such as 01a2105e-a6a6-781b-95ab-5b9788c5ad59"
Id = Annotated[str, msgspec.Meta(min_length=UUID_CHARACTERS, max_length=UUID_CHARACTERS, description=UUID_RULE)]
"""An id in a record. As a text it takes the decoder's fast path; `Raw` checks it."""


class Raw:
    """The records of one table.

    `record` is their struct, `check` returns the faults of one as a whole, `row` makes the values of the columns of
    `stream`, whose statement stores them. A file with records of several tables tells them apart by their `kind`.
    """

    def __init__(  # noqa: PLR0913 - the differences between the tables
        self,
        stream: Stream,
        record: type[E],
        check: Callable[[E], Sequence[Any]],
        row: Callable[[Any, UUID, Settings], Row],
        *,
        explain: Callable[[str, Any], Any] = lambda name, value: None,
        kind: str = "",
        id: str = "id",
        received: str = "",
        export: str = "export",
        values: Callable[[asyncpg.Record], dict[str, Any]] = dict,
    ) -> None:
        self.stream = stream
        self.kind = kind
        self.export = export
        """The query of its rows from one time until before another, in `sql/<stream>/read.sql`."""
        self.values = values
        """Turns a row of the query into the values of a record by their names."""
        self.row = row
        self.received = [*stream.columns].index(received) if received else None
        """The index of the time that the retention goes by. None: rows are kept for ever."""
        self._id = id
        self._id_key = f'"{id}"'.encode()
        self._record = record
        checked = _checked_fields(record)
        self._stored, self._sent = (
            Decoder(
                record,
                lambda event: [*_faults(event, checked), *check(event)],
                _known_only(explain),
                is_stored=is_stored,
            )
            for is_stored in (True, False)
        )

    @cached_property
    def fields(self) -> dict[str, bool]:
        """The names of the fields, and whether a record must have them."""
        return {field.name: field.required for field in msgspec.structs.fields(self._record)}

    @cached_property
    def numbers(self) -> set[str]:
        """The fields that are numbers."""
        return {field.name for field in msgspec.structs.fields(self._record) if int in _types(field.type)}

    def decode(self, line: bytes) -> Any:
        """Return the record in a line of JSON. Raises InvalidEvent, and BadRequest for more than a mebibyte.

        The texts of a stored row, which has an id, stay as they are.
        """
        record = self._stored.decode(line) if self._id_key in line else None
        if record is None or (not isinstance(record, Batch) and getattr(record, self._id) is None):
            record = self._sent.decode(line)  # an event as a client sends it
        if isinstance(record, Batch):
            raise InvalidEvent(["a line must be a JSON object"])
        return record

    def id_of(self, record: Any) -> UUID | None:
        """Return the id in a record, or None if it has none."""
        text: str | None = getattr(record, self._id)
        return pgproto.UUID(text) if text else None


def _types(kind: Any) -> set[Any]:
    return {kind, *(part for member in get_args(kind) for part in _types(member))}


def _known_only(explain: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Leave unknown fields to the decoder, which lists the allowed ones."""
    return lambda name, value: None if value is ... else explain(name, value)


def _checked_fields(record: type[msgspec.Struct]) -> list[tuple[str, type]]:
    """Return the ids and the times that a struct adds to its event, each with UUID or datetime.

    The event's own times are checked by its stream.
    """
    of_event = getattr(record.__bases__[0], "__struct_fields__", ())
    return [
        (field.name, UUID if UUID_RULE in str(field.type) else datetime)
        for field in msgspec.structs.fields(record)
        if field.name not in of_event and (UUID_RULE in str(field.type) or datetime in _types(field.type))
    ]


def _faults(record: msgspec.Struct, checked: Sequence[tuple[str, type]]) -> list[str]:
    values = [(name, getattr(record, name), kind) for name, kind in checked]
    return [fault for name, value, kind in values if value is not None and (fault := _fault(name, value, kind))]


def _fault(name: str, value: Any, kind: type) -> str | None:
    try:
        if kind is UUID:
            return None if str(pgproto.UUID(value)) == value.lower() else f"{name} must be {UUID_RULE}"
        utc(value)
    except ValueError:
        return f"{name} must be {UUID_RULE if kind is UUID else INSTANT_RULE}"
    return None


def time_or_none(when: datetime | None) -> datetime | None:
    """Return an instant in UTC, or None."""
    return utc(when) if when else None
