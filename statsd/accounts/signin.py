"""Register, log in, log out."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import ACCOUNTS, Registration, User, registration
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.web.addresses import client_address
from statsd.web.answers import PlainError, json_response, refusal
from statsd.web.asked import read_body
from statsd.web.decode import json_object
from statsd.web.operation import Operation, answer

BODY_BYTES = 64 * 1024
RETRY = {"Retry-After": "2"}
OTHER_SITE = "a page of another site may not do this"
COOKIES = {"Set-Cookie": "`auth_token` (HttpOnly) and `user_data`, both for a day"}
WAIT = {"Retry-After": "seconds until the next attempt is allowed"}


class Credentials(msgspec.Struct, frozen=True):
    """A name and a password."""

    username: Annotated[str, msgspec.Meta(min_length=1)]
    password: Annotated[str, msgspec.Meta(min_length=1)]


class Session(msgspec.Struct):
    """The user, and the token of the session: send it as `Authorization: Bearer …`, or keep the cookie."""

    user: session.Person
    token: str


class Message(msgspec.Struct):
    """A confirmation."""

    message: str


NEW = {"username": "grace", "password": "correct horse", "age": 44, "gender": "Female"}
KNOWN = {"username": "ada", "password": "correct horse"}
LOGGED_OUT = Message("Logged out successfully")


@Operation(
    origins="session",
    envelope=PlainError,
    body=Registration,
    plain=False,
    example=NEW,
    answers={
        201: answer("the new user, and a session", Session, headers=COOKIES),
        403: OTHER_SITE,
        429: answer("too many registrations from this address", PlainError, headers=WAIT),
    },
)
async def post_register(request: web.Request) -> web.Response:
    """Create an account and log in.

    400 if the name is taken.
    """
    user = await request.app[ACCOUNTS].register(registration(await _read(request)), client_address(request))
    return _begin(request, user, 201)


@Operation(
    origins="session",
    envelope=PlainError,
    body=Credentials,
    plain=False,
    example=KNOWN,
    answers={
        200: answer("a session", Session, headers=COOKIES),
        403: OTHER_SITE,
        429: answer("too many wrong attempts", PlainError, headers=WAIT),
    },
)
async def post_login(request: web.Request) -> web.Response:
    """Log in.

    400 if the name or the password is wrong; the answer does not say which.
    """
    credentials = await _credentials(request)
    user = await request.app[ACCOUNTS].login(credentials.username, credentials.password, client_address(request))
    return _begin(request, user, 200)


async def _credentials(request: web.Request) -> Credentials:
    try:
        return msgspec.convert(await _read(request), Credentials)
    except msgspec.ValidationError:
        raise InvalidEvent(["Username and password are required"]) from None


@Operation(
    origins="session",
    answers={
        200: answer("logged out; clears both cookies", Message, done=LOGGED_OUT),
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
    response = json_response(LOGGED_OUT)
    try:
        for claims in session.all_claims(request):
            await request.app[ACCOUNTS].revoke(claims)
    except DatabaseAway as away:
        response = refusal(
            503, f"the cookies are cleared, but the session is still valid until it expires: {away}", RETRY
        )
    session.clear_cookies(request, response)
    return response


async def _read(request: web.Request) -> dict[str, object]:
    session.refuse_other_sites(request)
    session.require_json(request)
    return json_object(await read_body(request, BODY_BYTES))


def _begin(request: web.Request, user: User, status: int) -> web.Response:
    token = request.app[session.TOKENS].make(user.id, user.username, user.token_version)
    response = json_response(Session(session.person(user), token), status)
    session.set_cookies(request, response, token, user)
    return response


ROUTES = [
    web.post("/register", post_register),
    web.post("/login", post_login),
    web.post("/logout", post_logout),
]
