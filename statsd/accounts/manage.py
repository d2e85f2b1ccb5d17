"""For admins: list, add and revoke API tokens and share links, as the commands `token` and `link` do."""

from typing import Annotated, Any

import asyncpg
import msgspec
from aiohttp import web

from statsd.accounts import session
from statsd.accounts.access import HOLDS
from statsd.accounts.keys import LINK, MOST_DAYS, NAME_CHARACTERS, SCOPES, TOKEN, VIEW, VIEWS, Keys, link_name
from statsd.database.pool import POOL
from statsd.errors import BadRequest, InvalidEvent
from statsd.web.answers import Instant, PlainError, Refusal, json_response
from statsd.web.asked import read_body
from statsd.web.decode import parse, whole
from statsd.web.operation import Answer, Operation, Parameter
from statsd.web.texts import PRINTABLE
from statsd.web.times import iso

BODY_BYTES = 16 * 1024
LINK_DAYS = 30
# Checked by Keys, which names all faults at once.
Name = Annotated[
    str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": NAME_CHARACTERS, "pattern": PRINTABLE})
]
Days = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": MOST_DAYS})]
Scope = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(SCOPES)})]
View = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(VIEWS)})]


class NewToken(msgspec.Struct, frozen=True):
    """A token for a program. Without `days` it has no end."""

    name: Name
    scopes: Annotated[list[Scope], msgspec.Meta(extra_json_schema={"minItems": 1})]
    days: Days | None = None


class NewLink(msgspec.Struct, frozen=True):
    """A share link to one view."""

    view: View
    name: Name | None = None
    days: Days = LINK_DAYS


class ApiToken(msgspec.Struct, frozen=True):
    """A token, without its secret."""

    name: str
    scopes: list[str]
    created_at: Instant
    expires_at: Instant | None
    last_used: Instant | None


class ShareLink(msgspec.Struct, frozen=True):
    """A share link, without its secret."""

    name: str
    view: str
    created_at: Instant
    expires_at: Instant | None
    last_used: Instant | None


class AddedToken(ApiToken, frozen=True):
    """A new token. `token` cannot be read again."""

    token: str


class AddedLink(ShareLink, frozen=True):
    """A new share link. `path` cannot be read again."""

    path: str


SECRET = "0" * 48
WHEN, ENDS = "2026-11-21T10:30:00.000Z", "2026-12-21T10:30:00.000Z"
OPEN_END = {"created_at": WHEN, "expires_at": None, "last_used": None}
TOKEN_ROW: dict[str, Any] = {"name": "grafana", "scopes": ["read"], **OPEN_END}
LINK_ROW: dict[str, Any] = {"name": "board", "view": "pageviews", **OPEN_END, "expires_at": ENDS}
OTHER_SITE = Answer("not an admin, or a page of another site", PlainError, Refusal)
TAKEN = "the name is taken"
NONE = "none has this name"
IN_PATH = {"name": Parameter(str, "the name of a token or link", example="grafana")}


@Operation(
    access="admin", envelope=PlainError, answers={200: Answer("by name", list[ApiToken], rows=[ApiToken(**TOKEN_ROW)])}
)
async def get_tokens(request: web.Request) -> web.Response:
    """List the API tokens."""
    return json_response([_token(row) for row in await _keys(request, is_link=False).list()])


@Operation(
    access="admin",
    envelope=PlainError,
    body=NewToken,
    plain=False,
    example={"name": "grafana", "scopes": ["read"], "days": 90},
    answers={
        201: Answer("the token, shown once", AddedToken, token=AddedToken(**TOKEN_ROW, token=TOKEN + SECRET)),
        409: TAKEN,
        403: OTHER_SITE,
    },
)
async def post_token(request: web.Request) -> web.Response:
    """Add an API token.

    Programs send it as `Authorization: Bearer …`. The server keeps only its digest.
    """
    new = await _read(request, NewToken)
    secret, row = await _keys(request, is_link=False).add(new.name, new.scopes, new.days)
    return json_response(AddedToken(**msgspec.structs.asdict(_token(row)), token=secret), 201)


@Operation(
    access="admin",
    envelope=PlainError,
    path=IN_PATH,
    answers={204: "revoked", 400: "the request has a body", 403: OTHER_SITE, 404: NONE},
)
async def delete_token(request: web.Request) -> web.Response:
    """Revoke an API token: requests with it are 401 from now on."""
    return await _revoke(request, is_link=False)


@Operation(
    access="admin", envelope=PlainError, answers={200: Answer("by name", list[ShareLink], rows=[ShareLink(**LINK_ROW)])}
)
async def get_links(request: web.Request) -> web.Response:
    """List the share links."""
    return json_response([_share_link(row) for row in await _keys(request, is_link=True).list()])


@Operation(
    access="admin",
    envelope=PlainError,
    body=NewLink,
    plain=False,
    example={"view": "pageviews", "name": "board", "days": 30},
    answers={
        201: Answer("the link, shown once", AddedLink, link=AddedLink(**LINK_ROW, path=f"/share/{LINK}{SECRET}")),
        409: TAKEN,
        403: OTHER_SITE,
    },
)
async def post_link(request: web.Request) -> web.Response:
    """Add a share link.

    Whoever has the address sees this view, and nothing else, until the link ends or is revoked.
    """
    new = await _read(request, NewLink)
    name = link_name(new.view) if new.name is None else new.name
    secret, row = await _keys(request, is_link=True).add(name, [f"{VIEW}{new.view}"], new.days)
    return json_response(AddedLink(**msgspec.structs.asdict(_share_link(row)), path=f"/share/{secret}"), 201)


@Operation(
    access="admin",
    envelope=PlainError,
    path=IN_PATH,
    answers={204: "revoked", 400: "the request has a body", 403: OTHER_SITE, 404: NONE},
)
async def delete_link(request: web.Request) -> web.Response:
    """Revoke a share link: its readers see nothing from now on."""
    return await _revoke(request, is_link=True)


def _keys(request: web.Request, *, is_link: bool) -> Keys:
    return Keys(request.app[POOL], is_link=is_link)


async def _read(request: web.Request, kind: type[Any]) -> Any:
    session.require_json(request)
    value = parse(await read_body(request, BODY_BYTES))
    if isinstance(value, dict) and "days" in value:
        value["days"] = whole(value["days"])
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError as error:
        raise InvalidEvent([str(error)]) from None


async def _revoke(request: web.Request, *, is_link: bool) -> web.Response:
    if request.can_read_body:
        raise BadRequest(400, "the request must not have a body")
    await _keys(request, is_link=is_link).revoke(request.match_info["name"])
    request.app[HOLDS].revoked()
    return web.Response(status=204)


def _times(row: asyncpg.Record) -> list[str | None]:
    return [row[name] and iso(row[name]) for name in ("created_at", "expires_at", "last_used")]


def _token(row: asyncpg.Record) -> ApiToken:
    return ApiToken(row["name"], row["scopes"], *_times(row))  # type: ignore[arg-type]


def _share_link(row: asyncpg.Record) -> ShareLink:
    return ShareLink(row["name"], row["scopes"][0].removeprefix(VIEW), *_times(row))  # type: ignore[arg-type]


ROUTES = [
    web.get("/access/tokens", get_tokens),
    web.post("/access/tokens", post_token),
    web.delete("/access/tokens/{name}", delete_token),
    web.get("/access/links", get_links),
    web.post("/access/links", post_link),
    web.delete("/access/links/{name}", delete_link),
]
