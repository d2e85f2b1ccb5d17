"""What openapi.json says of a handler beyond its docstring: declared above it, kept on it.

    @Operation(
        query={"limit": Parameter(Annotated[int, Meta(ge=1, le=1000)], "how many", default=100)},
        answers={200: answer("The newest first.", rows=[ROW]), 404: "nobody has logged in yet"},
    )
    async def get_logins(request: web.Request) -> web.Response: ...

The first sentence of the docstring is the summary, the rest the description; the module is the tag. What follows from
the kind of an operation (a body may be too large, a parameter wrong, the database away) is not declared: openapi.py
knows. An answer that is a sentence has no body below 400, and the common error body from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from statsd.errors import InvalidEvent

JSON = "application/json"

Origins = Literal["own", "near", "any", "session"]
"""Whose pages may use a route, beside our own and those of CORS_ORIGINS: pages of the reader's own machine
(`http://localhost`, any port) or of any origin, both without credentials; FRONTEND_URL's with credentials.
"""
Envelope = Callable[[InvalidEvent], dict[str, Any]]
"""Makes the body of a 400."""

Handler = TypeVar("Handler", bound=Callable[..., Any])


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
    """What comes back under one status; schemas are made of the examples, which a Counter gives free keys."""

    about: str
    media: str
    headers: Mapping[str, str]
    examples: Mapping[str, Any]


def answer(about: str, /, *, media: str = JSON, headers: Mapping[str, str] | None = None, **examples: Any) -> Answer:
    """Return an answer with its examples by name; `headers` maps names to sentences."""
    return Answer(about, media, headers or {}, examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The declaration; as a decorator it leaves the handler as it is."""

    origins: Origins = "own"
    envelope: Envelope | None = None
    """The form of a 400, where the contract of the route has one of its own."""
    body: type[Any] | None = None
    """The struct or dataclass of what is in the body."""
    plain: bool = True
    """Whether a body that says text, or nothing, is read as JSON, too: beacons send such."""
    batch: bool = False
    """Whether an array of them, or one a line, may come as well."""
    example: Any = None
    """A body that is accepted."""
    media: Mapping[str, str] = field(default_factory=dict)
    """Further content types, and what a body of each is."""
    keys: Sequence[str] = ()
    """Headers that name an event, so that a repeat counts once."""
    path: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    guards: Sequence[Guard] = ()
    """Any one of them is enough; of the optional ones all that the settings ask for."""
    tagged: bool = False
    """Whether answers carry an ETag, and who has it already gets 304."""
    answers: Mapping[int, Answer | str] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> Handler:
        vars(handler)[_KEPT] = self
        return handler


_KEPT = "operation"
_UNDECLARED = Operation()


def declared(handler: Callable[..., Any]) -> Operation:
    """Return what was declared of a handler, an empty declaration if nothing was."""
    found: Operation = getattr(handler, _KEPT, _UNDECLARED)
    return found
