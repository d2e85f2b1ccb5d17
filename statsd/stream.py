"""What a stream is: one value that describes a kind of event to the rest of the program.

Its statements stand in `sql/<name>/`: `store.sql` has `insert` and `fold`, `read.sql` has `snapshot`. `sql/streams.sql`
has what all streams do alike.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

Row = tuple[Any, ...]
"""The values of one event, in the order of its stream's columns."""


def is_integer(text: str) -> bool:
    """Whether a text is an integer of 32 bits, as PostgreSQL writes it."""
    return bool(re.fullmatch(r"-?[1-9]\d{0,9}|0", text, re.ASCII)) and -(2**31) <= int(text) < 2**31


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID, as PostgreSQL writes it."""
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))


@dataclass(frozen=True, slots=True)
class View:
    """What a live topic shows: the one JSON value that a query returns."""

    stream: str
    query: str = "snapshot"
    file: str = ""
    """The name of the SQL file that has the query; empty: the files of the stream."""
    arguments: tuple[Any, ...] | None = None
    """The arguments of the query; None: the current time."""
    follows: frozenset[str] = frozenset()
    """Other streams whose events change the view."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that brings generated events to a server; sent again under its key, they count once."""

    path: str
    body: Any
    events: int = 1
    key: str = ""
    """Its Idempotency-Key; empty: the events bring keys of their own."""
    method: str = "POST"
    after: Any = None
    """Deliveries of a batch that have the same value here are sent one after the other. None: in any order."""
    person: int | None = None
    """Which of the wire's people must be logged in; None: nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How generated events are sent over HTTP. The keys begin with `run`, which no other run has."""

    deliveries: Callable[[Sequence[Any], str], Iterator[Delivery]]
    """Turns samples, and `run`, into requests."""
    fixtures: Callable[[str], Iterator[Delivery]] = lambda run: iter(())
    """Requests for what samples refer to, which come before them."""
    people: Sequence[Mapping[str, Any]] = ()
    """Users whose events these are: what `POST /register` needs beside a name and a password."""
    keeps_time: bool = False
    """Whether events may say when they happened; otherwise it is when the server receives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A kind of event. Its routes are in its folder, `streams/<name>/`."""

    name: str
    """The name of its SQL folder and of its live topic, and its NOTIFY payload."""
    columns: Mapping[str, Any]
    """The columns of a row and their types, in the order of the parameters of `insert`; the first is `id`."""
    row: Callable[[Any, UUID], Row]
    """Turns an event and its id into the values of `columns`."""
    sample: Callable[..., Any]
    """Makes a realistic event for the generator, from its random numbers and the days that events are spread over (by
    default 30). With 0 days the event happens now."""
    wire: Wire
    """How samples are sent over HTTP."""
    share: float
    """How many of a hundred generated events are of this stream, where all streams are generated."""
    fixtures: Row = ()
    """The parameters of the query `fixtures`, which stores what samples refer to."""
    insert: str = "insert"
    """The statement that stores rows. Another one has other columns, such as `import` for rows of files."""
    lanes_by: str = ""
    """The column that chooses the lane of a row: rows with the same value are stored in order. Empty: one lane."""
    ordered_by: str = ""
    """The column that orders rows: while one waits in the spool, later ones with the same value, also of other streams,
    go behind it. Empty: each row has its own time. A stream with an order has one lane, or its lanes by this column.
    """
    sent: Callable[[int], Row] = lambda rows: ()
    """Makes the further parameters of `insert`, when it is sent with so many rows."""
    part_of: str = ""
    """The stream whose folder, topic and panel this one shares; empty: it has its own."""
    views: Mapping[str, View] = field(default_factory=dict)
    """Further live topics, by name."""
    follows: frozenset[str] = frozenset()
    """Other streams whose events change its snapshot."""
    people: Callable[[Row], Collection[str]] = lambda row: ()
    """The ids of the people that a row names, as text; all that `erase` finds. A stream without people has none."""
    is_person: Callable[[str], bool] = lambda text: True
    """Whether a text may be the id of a person."""
    as_spooled: Callable[[Row], Row] = lambda row: row
    """The row as the spool keeps it: with the current time in place of one that PostgreSQL would choose."""

    def named(self, row: Row) -> dict[str, Any]:
        """Return the values of a row by their columns."""
        return dict(zip(self.columns, row, strict=True))

    def topics(self) -> dict[str, View]:
        """Return its live topics, by name."""
        own = {} if self.part_of else {self.name: View(self.name, follows=self.follows)}
        return {**own, **self.views}
