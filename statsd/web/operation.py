"""The declaration of a handler for the OpenAPI document: parameters, bodies and answers.

    @Operation(
        query={"limit": Parameter(Annotated[int, Meta(ge=1, le=1000)], "how many", default=100)},
        answers={200: Answer("newest first", list[StoredLogin], rows=[STORED]), 404: "no such user"},
    )
    async def get_logins(request: web.Request) -> web.Response: ...

The first line of the docstring is the summary, the rest the description; the package is the tag. A handler without a
declaration is not in the document, and counts as one that reads. site/docs.py adds the answers that every operation of
a kind may give, such as 413 for a body that is too large. An answer that is declared as a sentence has no body below
400, and a Refusal from 400 on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from aiohttp import web

from statsd.errors import InvalidEvent
from statsd.web.answers import InvalidPayload

JSON = "application/json"

Origins = Literal["own", "near", "any", "session"]
"""Which pages may use a route, beside our own and those of CORS_ORIGINS. Without credentials: `near`, pages of the
browser's own machine (`http://localhost`, any port); `any`, pages of any origin. With credentials: `session`, pages of
FRONTEND_URL.
"""

Access = Literal["open", "ingest", "user", "read", "login", "metrics", "admin"]
"""Who may use a route. `open`: anybody. `ingest`: anybody, unless a setting guards the stream's ways in. `user`: a user
with a session, whom the handler finds. `read`: anybody, unless STATS_REQUIRE_LOGIN is on. `login`: who may read, with
or without that setting. `metrics`: as STATS_METRICS says. `admin`: admins.
"""

Shared = Literal["no", "own", "every"]
"""Which share links may use a route: none, those of its own stream's view, or all (and it limits the topics)."""

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Envelope(Protocol):
    """The body of a 400 for an invalid event: a struct made from its faults."""

    @classmethod
    def of(cls, error: InvalidEvent) -> msgspec.Struct: ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    kind: Any
    """Its type for msgspec: a Meta has bounds, a Literal choices."""
    about: str
    required: bool = False
    default: Any = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A security scheme of OpenAPI."""

    name: str
    scheme: Mapping[str, Any]


class Answer:
    """An answer: what it means, the types of its JSON (structs, or lists of structs), and examples of it by name.

    `texts` has an example for each other media type, `headers` a sentence for each header.
    """

    def __init__(
        self,
        about: str,
        /,
        *bodies: Any,
        texts: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **examples: Any,
    ) -> None:
        self.about, self.bodies, self.examples = about, bodies, examples
        self.texts, self.headers = texts or {}, headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A declaration. As a decorator it returns the handler itself."""

    origins: Origins = "own"
    access: Access = "read"
    shared: Shared = "no"
    documented: bool = True
    """Whether the operation is in the OpenAPI document; files are not."""
    envelope: type[Envelope] = InvalidPayload
    detailed: bool = False
    """Whether a Refusal has `details`, with the message, in every case."""
    body: Any = None
    """The struct in the body, or a union of structs."""
    plain: bool = True
    """Whether a body sent as text or without a type is read as JSON, too, as beacons send it."""
    grants: bool = False
    """Whether OPTIONS grants deliveries to the senders that ask for it (CloudEvents HTTP WebHook 1.0.2 §4)."""
    batch: bool = False
    """Whether the body may also be an array of them, or one per line."""
    example: Any = None
    """A valid body."""
    media: Mapping[str, Any] = field(default_factory=dict)
    """Further content types of JSON, and the type of the body for each."""
    keys: Sequence[str] = ()
    """Headers with an idempotency key."""
    path: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    """What `asked.parameters` reads."""
    strict: bool = True
    """Whether a GET with other query parameters is refused before the handler. Files and the page take any."""
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    guards: Sequence[Guard] = ()
    """Of the ways in, all that the settings require; for a user, one of them."""
    is_signed: Callable[[web.Request], bool] | None = None
    """Of a way in: whether the handler asks for a signature, in place of the token that the settings may require."""
    tagged: bool = False
    """Whether answers have an ETag; 304 if the client has that version."""
    answers: Mapping[int, Answer | str] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> Handler:
        vars(handler)["operation"] = self
        return handler


UNDECLARED = Operation(strict=False)


def declared(handler: Callable[..., Any]) -> Operation:
    """Return the declaration of a handler; without one, an empty declaration."""
    operation: Operation = getattr(handler, "operation", UNDECLARED)
    return operation


def package(handler: Callable[..., Any]) -> str:
    """Return the package of a handler, such as `statsd.streams.logins`."""
    return handler.__module__.rpartition(".")[0]


def view_of(handler: Callable[..., Any]) -> str:
    """Return the view that a handler belongs to, such as `logins`: the name of its package."""
    return package(handler).rpartition(".")[2]
