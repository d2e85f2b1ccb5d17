"""The session of a request: its token, in the Authorization header or a cookie, and the cookies of a response.

The header wins over the cookie, because only the client itself can set it. Browsers also send the cookie with requests
from pages of other sites; such a request is refused if it may change anything.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import msgspec
from aiohttp import web

from statsd.accounts.tokens import INVALID, SECONDS, Claims, Tokens
from statsd.accounts.users import Person, User
from statsd.errors import BadRequest, Unauthenticated
from statsd.web import SETTINGS
from statsd.web.addresses import is_secure
from statsd.web.answers import PlainError
from statsd.web.asked import LINES, media_type
from statsd.web.operation import Answer, Guard
from statsd.web.origins import is_named, is_own

TOKENS: web.AppKey[Tokens] = web.AppKey("tokens")

AUTH, USER = "auth_token", "user_data"
OVER_TLS = "__Host-"
"""Begins the names of cookies over TLS: browsers take those only from this host, and only over TLS (RFC 6265bis)."""
JSON = ("application/json", *LINES)
GUARDS = (
    Guard("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
    Guard("cookie", {"type": "apiKey", "in": "cookie", "name": AUTH}),
)
"""The ways to send the token."""
ANSWERS = {401: Answer("no valid token", PlainError, headers={"WWW-Authenticate": "always `Bearer`"})}
"""The answers of every operation with these guards."""
AS_IN_URI_COMPONENTS = "!'()*"  # encodeURIComponent leaves these as they are, quote() does not


def person(user: User) -> Person:
    """Return the part of a user that clients may see."""
    return msgspec.convert(user, Person, from_attributes=True)


def claims(request: web.Request) -> Claims:
    """Return the claims of the request's token. Raises Unauthenticated (401), and what `token` raises."""
    return request.app[TOKENS].read(token(request))


def token(request: web.Request) -> str:
    """Return the request's token, from the Authorization header or the cookie.

    Raises Unauthenticated (401), and BadRequest (403) for a request from another site's page that may change something.
    """
    headers = request.headers.getall("Authorization", [])
    if len(headers) > 1:
        raise Unauthenticated(INVALID)
    token = bearer_token(headers[0]) if headers else None
    if token is None:
        token = next(_cookie_tokens(request), "")
        if token and request.method not in ("GET", "HEAD"):
            refuse_other_sites(request)
    if not token:
        raise Unauthenticated("No token provided")
    return token


def all_claims(request: web.Request) -> list[Claims]:
    """Return the claims of the request's valid tokens, from the headers and the cookie.

    Raises BadRequest (403) for a request from another site's page without an Authorization header.
    """
    bearers = list(filter(None, map(bearer_token, request.headers.getall("Authorization", []))))
    if not bearers:
        refuse_other_sites(request)
    claims_of_tokens = []
    for token in (*bearers, *_cookie_tokens(request)):
        with suppress(Unauthenticated):
            claims_of_tokens.append(request.app[TOKENS].read(token))
    return claims_of_tokens


def _cookie_tokens(request: web.Request) -> Iterator[str]:
    """Yield the tokens of the cookies; the one over TLS first, which no other host and no plain HTTP can have set."""
    return filter(None, (request.cookies.get(name, "") for name in (OVER_TLS + AUTH, AUTH)))


def bearer_token(header: str) -> str | None:
    """Return the token of an Authorization header; None with another scheme than Bearer."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def refuse_other_sites(request: web.Request) -> None:
    """Raise BadRequest (403) for a request from a page of another site.

    Browsers send Sec-Fetch-Site or Origin with such requests; other clients send neither, and pass.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is not None and is_named(origin, request):
        return
    is_allowed = site in ("same-origin", "none") if site is not None else origin is None or is_own(origin, request)
    if not is_allowed:
        raise BadRequest(403, "a page of another site may not do this: add its origin to FRONTEND_URL or CORS_ORIGINS")


def require_json(request: web.Request) -> None:
    """Raise BadRequest (415) for a body that is not JSON: a form on another site's page cannot send JSON."""
    if media_type(request) not in JSON:
        raise BadRequest(415, "Content-Type: must be application/json")


def set_cookies(request: web.Request, response: web.Response, token: str, user: User) -> None:
    """Set the cookies `auth_token` (HttpOnly) and `user_data` (JSON, as encodeURIComponent writes it) for a day."""
    ends = datetime.now(UTC) + timedelta(seconds=SECONDS)
    lifetime = f"Max-Age={SECONDS}; Path=/; Expires={format_datetime(ends, usegmt=True)}"
    value = quote(msgspec.json.encode(person(user)), safe=AS_IN_URI_COMPONENTS)
    _set_both(request, response, _prefix(request), (token, value), lifetime)


def clear_cookies(request: web.Request, response: web.Response) -> None:
    """Clear both cookies; over TLS also those that were set before the server was behind TLS."""
    for prefix in {_prefix(request), ""}:
        _set_both(request, response, prefix, ("", ""), "Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")


def _prefix(request: web.Request) -> str:
    return OVER_TLS if is_secure(request) else ""


def _set_both(
    request: web.Request, response: web.Response, prefix: str, values: tuple[str, str], lifetime: str
) -> None:
    is_foreign = request.app[SETTINGS].frontend_url is not None
    secure = "Secure; " if prefix or is_foreign else ""
    same_site = f"{secure}SameSite={'None' if is_foreign else 'Lax'}"
    token, person = values
    response.headers.add("Set-Cookie", f"{prefix}{AUTH}={token}; {lifetime}; HttpOnly; {same_site}")
    response.headers.add("Set-Cookie", f"{prefix}{USER}={person}; {lifetime}; {same_site}")
