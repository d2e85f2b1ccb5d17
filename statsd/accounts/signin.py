"""Register, login, logout (contracts.md §3.2)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import ACCOUNTS, Registration, User, registration
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.web.addresses import client_address
from statsd.web.answers import json_response, plain_envelope, refusal
from statsd.web.asked import read_body
from statsd.web.decode import json_object
from statsd.web.operation import Operation, answer

BODY_BYTES = 64 * 1024
RETRY = {"Retry-After": "2"}
OTHER_SITE = "a page of another site asked"


class Credentials(msgspec.Struct, frozen=True):
    """Who somebody says to be, and what only they know."""

    username: str
    password: str


COOKIES = {"Set-Cookie": "`auth_token` (HttpOnly) and `user_data`, both for a day"}
PERSON = {"id": 1, "username": "ada", "age": 36, "gender": "Female"}
SESSION = {"user": PERSON, "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl"}
NEW = {"username": "grace", "password": "correct horse", "age": 44, "gender": "Female"}
KNOWN = {"username": "ada", "password": "correct horse"}


@Operation(
    origins="session",
    envelope=plain_envelope,
    body=Registration,
    plain=False,
    example=NEW,
    answers={
        201: answer("the account, and a session", headers=COOKIES, session=SESSION),
        403: OTHER_SITE,
        429: "too many registrations from this address: `Retry-After` says when the next one may be made",
    },
)
async def post_register(request: web.Request) -> web.Response:
    """`POST /register`: make an account, and log in.

    201 with the user, a token, and both cookies; 400 for a name that is taken.
    """
    user = await request.app[ACCOUNTS].register(registration(await _read(request)), client_address(request))
    return _begin(request, user, 201)


@Operation(
    origins="session",
    envelope=plain_envelope,
    body=Credentials,
    plain=False,
    example=KNOWN,
    answers={
        200: answer("a session", headers=COOKIES, session=SESSION),
        403: OTHER_SITE,
        429: "too many wrong attempts: `Retry-After` says when the next one may be made",
    },
)
async def post_login(request: web.Request) -> web.Response:
    """`POST /login`: log in.

    200 with the user, a token, and both cookies; 400 for a wrong name or password, which are not told apart.
    """
    credentials = await _credentials(request)
    user = await request.app[ACCOUNTS].login(credentials.username, credentials.password, client_address(request))
    return _begin(request, user, 200)


async def _credentials(request: web.Request) -> Credentials:
    try:
        given = msgspec.convert(await _read(request), Credentials)
    except msgspec.ValidationError:
        given = Credentials("", "")
    if not (given.username and given.password):
        raise InvalidEvent(["Username and password are required"])
    return given


@Operation(
    origins="session",
    envelope=plain_envelope,
    answers={200: answer("nobody is logged in here", done={"message": "Logged out successfully"}), 403: OTHER_SITE},
)
async def post_logout(request: web.Request) -> web.Response:
    """`POST /logout`: log out, with or without a token; those that came are worth nothing any more.

    503 while they cannot be revoked; the cookies are gone all the same.
    """
    if request.can_read_body:
        session.demand_json(request)
    response = json_response({"message": "Logged out successfully"})
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
    session.demand_json(request)
    return json_object(await read_body(request, BODY_BYTES))


def _begin(request: web.Request, user: User, status: int) -> web.Response:
    token = request.app[session.TOKENS].make(user.id, user.username, user.token_version)
    response = json_response({"user": session.body(user), "token": token}, status)
    session.give_cookies(request, response, token, user)
    return response


ROUTES = [
    web.post("/register", post_register),
    web.post("/login", post_login),
    web.post("/logout", post_logout),
]
