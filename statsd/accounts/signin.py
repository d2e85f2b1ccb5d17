"""Register, log in, log out."""

from typing import Annotated

import msgspec
from aiohttp import web

from statsd.accounts import session
from statsd.accounts.access import HOLDS
from statsd.accounts.checks import CHECKS
from statsd.accounts.users import ACCOUNTS, Person, Registration, User, registration
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent
from statsd.web import SETTINGS
from statsd.web.addresses import client_address
from statsd.web.answers import PlainError, json_response, refusal
from statsd.web.asked import read_body
from statsd.web.decode import parse
from statsd.web.operation import Answer, Operation

BODY_BYTES = 64 * 1024
OTHER_SITE = "a page of another site may not do this"
CLOSED = "registration is closed: ask for an invitation"
UNINVITED = f"registration is closed, the invitation does not count, or {OTHER_SITE}"


class Credentials(msgspec.Struct, frozen=True):
    """A name and a password."""

    username: Annotated[str, msgspec.Meta(min_length=1)]
    password: Annotated[str, msgspec.Meta(min_length=1)]


class NewAccount(Registration, frozen=True):
    """A registration. The invitation is the secret in its link; it lets one person register where that is closed."""

    invitation: str | None = None


class Session(msgspec.Struct):
    """The user, and the token of the session: send it as `Authorization: Bearer …`, or keep the cookie."""

    user: Person
    token: str


class Message(msgspec.Struct):
    """A confirmation."""

    message: str


NEW: dict[str, object] = {"username": "grace", "password": "correct horse", "age": 44, "gender": "Female"}
KNOWN: dict[str, object] = {"username": "ada", "password": "correct horse"}


def _begins_session(
    body: type[Credentials | Registration],
    example: dict[str, object],
    *,
    status: int,
    about: str,
    refused: str,
) -> Operation:
    cookies = {"Set-Cookie": "`auth_token` (HttpOnly) and `user_data`, both for a day"}
    wait = {"Retry-After": "seconds until the next attempt is allowed"}
    return Operation(
        origins="session",
        access="open",
        envelope=PlainError,
        body=body,
        plain=False,
        example=example,
        answers={
            status: Answer(about, Session, headers=cookies),
            403: UNINVITED if body is NewAccount else OTHER_SITE,
            429: Answer(refused, PlainError, headers=wait),
        },
    )


@_begins_session(
    NewAccount,
    NEW,
    status=201,
    about="the new user, and a session",
    refused="too many registrations from this address",
)
async def post_register(request: web.Request) -> web.Response:
    """Create an account and log in.

    400 if the name is taken. Where registration is closed, an invitation is needed.
    """
    body = await _read(request)
    invitation = body.get("invitation")
    if not isinstance(invitation, str | None):
        raise InvalidEvent(["invitation must be a string if provided"])
    if not (invitation or request.app[SETTINGS].is_registration_open):
        raise BadRequest(403, CLOSED)
    user = await request.app[ACCOUNTS].register(registration(body), client_address(request), invitation or None)
    return _begin(request, user, 201)


@_begins_session(Credentials, KNOWN, status=200, about="a session", refused="too many wrong attempts")
async def post_login(request: web.Request) -> web.Response:
    """Log in.

    400 if the name or the password is wrong; the answer does not say which.
    """
    try:
        credentials = msgspec.convert(await _read(request), Credentials)
    except msgspec.ValidationError:
        raise InvalidEvent(["Username and password are required"]) from None
    user = await request.app[ACCOUNTS].login(credentials.username, credentials.password, client_address(request))
    return _begin(request, user, 200)


@Operation(
    origins="session",
    access="open",
    answers={
        200: Answer("logged out; clears both cookies", Message),
        403: OTHER_SITE,
        415: "the request has a body that is not JSON",
    },
)
async def post_logout(request: web.Request) -> web.Response:
    """Log out: revoke the request's tokens, if any.

    503 if they cannot be revoked now; the cookies are cleared in any case.
    """
    if request.can_read_body:
        session.require_json(request)
    response = json_response(Message("Logged out successfully"))
    try:
        for claims in session.all_claims(request):
            await request.app[CHECKS].revoke(claims)
            request.app[HOLDS].revoked()
    except DatabaseAway as away:
        message = f"the cookies are cleared, but the session is still valid until it expires: {away}"
        response = refusal(503, message, {"Retry-After": "2"})
    session.clear_cookies(request, response)
    return response


async def _read(request: web.Request) -> dict[str, object]:
    session.refuse_other_sites(request)
    session.require_json(request)
    value = parse(await read_body(request, BODY_BYTES))
    if not isinstance(value, dict):
        raise InvalidEvent(["the body must be a JSON object"])
    return value


def _begin(request: web.Request, user: User, status: int) -> web.Response:
    token = request.app[session.TOKENS].make(user.id, user.username, user.token_version)
    response = json_response(Session(session.person(user), token), status)
    session.set_cookies(request, response, token, user)
    return response


ROUTES = [web.post("/register", post_register), web.post("/login", post_login), web.post("/logout", post_logout)]
