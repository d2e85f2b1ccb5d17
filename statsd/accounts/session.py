"""Who asks: the token of a request, in a header or a cookie, and the cookies that carry it.

A header wins, because nothing but the client itself can have set it. A cookie comes with requests that other sites
make, too: those that change something are refused (contracts.md §3, reliability.md §4).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import msgspec
from aiohttp import web

from statsd.accounts.tokens import INVALID, SECONDS, Claims, Tokens
from statsd.accounts.users import ACCOUNTS, User
from statsd.errors import BadRequest, Unauthenticated
from statsd.settings import SETTINGS
from statsd.web.asked import LINES
from statsd.web.operation import Guard
from statsd.web.origins import is_named, is_own

TOKENS: web.AppKey[Tokens] = web.AppKey("tokens")

AUTH, USER = "auth_token", "user_data"
MISSING = "No token provided"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
JSON = ("application/json", *LINES)
SAFE_METHODS = ("GET", "HEAD")
GUARDS = (
    Guard("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
    Guard("cookie", {"type": "apiKey", "in": "cookie", "name": AUTH}),
)
"""How a client says who it is, for openapi.json."""
AS_IN_URI_COMPONENTS = "!'()*"  # what encodeURIComponent leaves beside what quote() does


def body(user: User) -> dict[str, str | int]:
    """Return what clients hear of a user."""
    return {"id": user.id, "username": user.username, "age": user.age, "gender": user.gender}


async def user(request: web.Request) -> User:
    """Return who asks. Raises Unauthenticated (401), DatabaseAway, and BadRequest (403) for another site's request."""
    return await request.app[ACCOUNTS].user_of(claims(request))


def claims(request: web.Request) -> Claims:
    """Return what the request's token says. Raises Unauthenticated, and BadRequest (403) for another site's request."""
    token = _bearer(request)
    if token is None:
        token = request.cookies.get(AUTH, "")
        if token and request.method not in SAFE_METHODS:
            refuse_other_sites(request)
    if not token:
        raise Unauthenticated(MISSING)
    return request.app[TOKENS].read(token)


def all_claims(request: web.Request) -> list[Claims]:
    """Return what the request's tokens say, the header's and the cookie's, those that are none left out.

    Raises BadRequest (403) for another site's request: one without a header.
    """
    headers = list(filter(None, map(_token, request.headers.getall("Authorization", []))))
    if not headers:
        refuse_other_sites(request)
    found = []
    for token in (*headers, request.cookies.get(AUTH, "")):
        with suppress(Unauthenticated):
            found.append(request.app[TOKENS].read(token))
    return found


def _bearer(request: web.Request) -> str | None:
    """The token of the Authorization header; None without one, or with a scheme that is not ours."""
    given = request.headers.getall("Authorization", [])
    if len(given) > 1:
        raise Unauthenticated(INVALID)
    return _token(given[0]) if given else None


def _token(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def refuse_other_sites(request: web.Request) -> None:
    """Raise BadRequest (403) for a request that a page of another site made."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is not None and is_named(origin, request):
        return
    own = site in ("same-origin", "none") if site is not None else origin is None or is_own(origin, request)
    if not own:
        raise BadRequest(403, "pages of other sites may not do this: FRONTEND_URL or CORS_ORIGINS must name them")


def demand_json(request: web.Request) -> None:
    """Raise BadRequest (415) for a body of another type: those are what another site's form can send."""
    if request.content_type not in JSON or "Content-Type" not in request.headers:
        raise BadRequest(415, "Content-Type: must be application/json")


def give_cookies(request: web.Request, response: web.Response, token: str, user: User) -> None:
    """Set the two cookies of a session, in the words of contracts.md §3.2."""
    ends = datetime.now(UTC) + timedelta(seconds=SECONDS)
    lifetime = f"Max-Age={SECONDS}; Path=/; Expires={format_datetime(ends, usegmt=True)}"
    person = quote(msgspec.json.encode(body(user)), safe=AS_IN_URI_COMPONENTS)
    _set_both(request, response, token, person, lifetime)


def take_cookies(request: web.Request, response: web.Response) -> None:
    """Make the client forget both."""
    _set_both(request, response, "", "", f"Path=/; Expires={format_datetime(LONG_AGO, usegmt=True)}")


def _set_both(request: web.Request, response: web.Response, token: str, person: str, lifetime: str) -> None:
    where = "Secure; SameSite=None" if request.app[SETTINGS].frontend_url else "SameSite=Lax"
    response.headers.add("Set-Cookie", f"{AUTH}={token}; {lifetime}; HttpOnly; {where}")
    response.headers.add("Set-Cookie", f"{USER}={person}; {lifetime}; {where}")
