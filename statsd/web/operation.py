"""What the OpenAPI document says of a handler beyond its docstring: declared above it, kept on it.

    @Operation(
        query={"limit": Parameter(Annotated[int, Meta(ge=1, le=1000)], "how many", default=100)},
        answers={200: answer("newest first", list[StoredLogin], rows=[STORED]), 404: "no such user"},
    )
    async def get_logins(request: web.Request) -> web.Response: ...

The first line of the docstring is the summary, the rest the description; the package is the tag. A handler without a
declaration is no operation. What follows from the kind of an operation (a body may be too large, a parameter wrong, the
database away) is not declared: site/docs.py adds it. An answer that is a sentence has no body below 400, and a Refusal
from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from statsd.errors import InvalidEvent
from statsd.web.answers import InvalidPayload

JSON = "application/json"

Origins = Literal["own", "near", "any", "session"]
"""Whose pages may use a route, beside our own and those of CORS_ORIGINS: pages of the reader's own machine
(`http://localhost`, any port) or of any origin, both without credentials; FRONTEND_URL's with credentials.
"""

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Envelope(Protocol):
    """The body of a 400 for an event that is wrong: a struct that is made of the faults."""

    @classmethod
    def of(cls, error: InvalidEvent) -> msgspec.Struct: ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    kind: Any
    """Its type, as msgspec understands it: bounds are a Meta, choices a Literal."""
    about: str
    required: bool = False
    default: Any = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What a client must show (a security scheme of OpenAPI); `optional` where only some settings ask for it."""

    name: str
    scheme: Mapping[str, Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back under one status."""

    about: str
    bodies: Sequence[Any] = ()
    """Structs, or lists of structs: what the JSON may be."""
    examples: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Other media types that may be answered, and an example of each."""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(
    about: str,
    /,
    *bodies: Any,
    texts: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **examples: Any,
) -> Answer:
    """Return an answer with its examples by name; `headers` maps names to sentences."""
    return Answer(about, bodies, examples, texts or {}, headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The declaration; as a decorator it leaves the handler as it is."""

    origins: Origins = "own"
    envelope: type[Envelope] = InvalidPayload
    body: type[Any] | None = None
    """The struct or dataclass of what is in the body."""
    plain: bool = True
    """Whether a body sent as text, or without a type, is read as JSON, too: beacons send such."""
    batch: bool = False
    """Whether an array of them, or one a line, may come as well."""
    empty: bool = False
    """Whether there may be no event in an array."""
    example: Any = None
    """A body that is accepted."""
    media: Mapping[str, Any] = field(default_factory=dict)
    """Further content types of JSON, and the type of a body of each."""
    keys: Sequence[str] = ()
    """Headers that name an event, so that a repeat counts once."""
    path: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    guards: Sequence[Guard] = ()
    """Any one of them is enough; of the optional ones all that the settings ask for."""
    tagged: bool = False
    """Whether answers carry an ETag; a client that has it already gets 304."""
    answers: Mapping[int, Answer | str] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> Handler:
        vars(handler)[_KEPT] = self
        return handler


_KEPT = "operation"
UNDECLARED = Operation()


def declared(handler: Callable[..., Any]) -> Operation:
    """Return what was declared of a handler, an empty declaration if nothing was."""
    operation: Operation = getattr(handler, _KEPT, UNDECLARED)
    return operation
