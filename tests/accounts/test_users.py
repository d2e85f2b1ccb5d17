"""Accounts: register, login, logout, their cookies, and who else's page may ask for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote

import argon2
import pytest
from argon2 import PasswordHasher
from waiting import until

from statsd.accounts import passwords
from statsd.accounts.users import ACCOUNTS
from statsd.errors import AccountRefused

Start = Callable[..., Awaitable[Any]]
ANNA = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
CREDENTIALS = {"username": "Anna", "password": "correct horse"}
LOCAL = (ip_network("127.0.0.1"),)
EVERYTHING = "All fields are required"
NO_NAME = "username must be a string of 1 to 64 printable characters, not blank"
NO_PASSWORD = "password must be a string of 8 to 1024 characters"
NO_AGE = "age must be a whole number from 0 to 150"
NO_GENDER = "gender must be one of Male, Female, Other"


async def post(client: Any, path: str, body: object, status: int, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post(path, json=body, headers=named)
    answer = await response.json()
    assert response.status == status, answer
    return answer


async def bearer(client: Any, **changes: object) -> dict[str, str]:
    """The header of a new user; the cookies are forgotten."""
    answer = await post(client, "/register", {**ANNA, **changes}, 201)
    client.session.cookie_jar.clear()
    return {"Authorization": f"Bearer {answer['token']}"}


async def test_user_who_does_not_exist_costs_the_same_hash() -> None:
    with closing(passwords.Passwords()) as hasher:
        assert not hasher.is_outdated(passwords._DUMMY_HASH)
        assert not await hasher.verify(None, "correct horse")


async def test_register_and_login_answer_in_the_documented_words(client: Any) -> None:
    registered = await post(client, "/register", ANNA, 201)
    user = {"id": registered["user"]["id"], "username": "Anna", "age": 34, "gender": "Female"}
    assert registered.keys() == {"user", "token"}
    assert registered["user"] == user
    assert isinstance(user["id"], int)
    loggedin = await post(client, "/login", CREDENTIALS, 200)
    assert loggedin["user"] == user
    assert loggedin["token"] != registered["token"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"age": None}, EVERYTHING),
        ({"gender": ""}, EVERYTHING),
        ({"username": None, "password": "x"}, EVERYTHING),
        ({"username": "  "}, NO_NAME),
        ({"username": "a" * 65}, NO_NAME),
        ({"username": "a\nb"}, NO_NAME),
        ({"username": "a\n"}, NO_NAME),
        ({"username": "a\0"}, NO_NAME),
        ({"username": ["a"]}, NO_NAME),
        ({"password": "1234567"}, NO_PASSWORD),
        ({"password": "x" * 1025}, NO_PASSWORD),
        ({"password": {"$ne": 1}}, NO_PASSWORD),
        ({"password": 12345678}, NO_PASSWORD),
        ({"age": -1}, NO_AGE),
        ({"age": 151}, NO_AGE),
        ({"age": 10**30}, NO_AGE),
        ({"age": 18.5}, NO_AGE),
        ({"age": True}, NO_AGE),
        ({"age": "thirty"}, NO_AGE),
        ({"age": "0x1e"}, NO_AGE),
        ({"age": " 30"}, NO_AGE),
        ({"age": "30\n"}, NO_AGE),
        ({"age": "\u0663\u0660"}, NO_AGE),
        ({"age": []}, NO_AGE),
        ({"gender": "male"}, NO_GENDER),
        ({"gender": ["Male"]}, NO_GENDER),
        ({"username": "\n", "password": "x", "age": "x", "gender": "x"},
         "; ".join([NO_NAME, NO_PASSWORD, NO_AGE, NO_GENDER])),
    ],
)  # fmt: skip
async def test_what_is_no_account_is_refused_with_everything_that_is_wrong(
    client: Any, changes: dict[str, Any], error: str
) -> None:
    assert await post(client, "/register", {**ANNA, **changes}, 400) == {"error": error}


@pytest.mark.parametrize(
    "changes",
    [
        {"age": "0"}, {"age": 150}, {"username": " lead"}, {"username": "<b>x</b>"}, {"username": "\U0001f600" * 64},
        {"password": "x" * 1024}, {"password": "\u7e40\U0001f600 \t\n\0abc"}, {"gender": "Other"},
        {"id": 1, "role": "admin", "token_version": 9},
    ],
)  # fmt: skip
async def test_what_may_be_is_kept_as_it_was_sent(client: Any, changes: dict[str, Any]) -> None:
    sent = {**ANNA, **changes}
    user = (await post(client, "/register", sent, 201))["user"]
    assert (user["username"], user["age"], user["gender"]) == (sent["username"], int(sent["age"]), sent["gender"])
    assert await post(client, "/login", {name: sent[name] for name in CREDENTIALS}, 200)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null", b'{"username":"a\\ud800"}', b"\xff", b"[" * 10_000])
@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_body_that_is_no_object_is_400(client: Any, path: str, body: bytes) -> None:
    response = await client.post(path, data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400
    assert (await response.json()).keys() == {"error"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_body_of_a_type_that_forms_send_is_415(client: Any, path: str, content_type: str) -> None:
    response = await client.post(
        path,
        data=json.dumps(ANNA).encode(),
        headers={"Content-Type": content_type} if content_type else {},
        skip_auto_headers=["Content-Type"],
    )
    assert response.status == 415


async def test_body_over_the_limit_is_413(client: Any) -> None:
    assert await post(client, "/login", {**CREDENTIALS, "password": "x" * 70_000}, 413)


@pytest.mark.parametrize("name", ["Anna", "anna", "ANNA", "\uff21nna"])
async def test_name_that_differs_in_form_alone_is_taken_and_logs_in(client: Any, name: str) -> None:
    await post(client, "/register", ANNA, 201)
    assert await post(client, "/register", {**ANNA, "username": name}, 400) == {"error": "Username already exists"}
    assert (await post(client, "/login", {**CREDENTIALS, "username": name}, 200))["user"]["username"] == "Anna"


async def test_same_password_typed_on_another_keyboard_is_the_same(client: Any) -> None:
    await post(client, "/register", {**ANNA, "password": "schöne Grüße"}, 201)
    await post(client, "/login", {**CREDENTIALS, "password": "scho\u0308ne Gru\u0308ße"}, 200)


async def test_many_registrations_of_one_name_at_once_make_one_account(client: Any, pool: Any) -> None:
    responses = await asyncio.gather(*(client.post("/register", json=ANNA) for _ in range(8)))
    assert sorted(one.status for one in responses) == [201] + [400] * 7
    assert await pool.fetchval("select count(*) from users") == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Username and password are required"),
        ({"username": "Anna"}, "Username and password are required"),
        ({"username": "", "password": "x"}, "Username and password are required"),
        ({"username": 1, "password": 2}, "Username and password are required"),
        ({"username": ["Anna"], "password": ["x"]}, "Username and password are required"),
        ({"username": "Anna", "password": "wrong horse"}, "Invalid credentials"),
        ({"username": "Anna", "password": "x"}, "Invalid credentials"),
        ({"username": "Anna", "password": "x" * 50_000}, "Invalid credentials"),
        ({"username": "Anna", "password": "correct horse\0x"}, "Invalid credentials"),
        ({"username": "Nobody", "password": "correct horse"}, "Invalid credentials"),
        ({"username": "Anna\0", "password": "correct horse"}, "Invalid credentials"),
        ({"username": "' OR '1'='1", "password": "' OR '1'='1"}, "Invalid credentials"),
    ],
)
async def test_wrong_credentials_are_400_and_tell_nothing(client: Any, body: dict[str, Any], error: str) -> None:
    await post(client, "/register", ANNA, 201)
    assert await post(client, "/login", body, 400) == {"error": error}


async def test_unknown_name_costs_the_same_hash_as_a_known_one(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(client, "/register", ANNA, 201)
    costs = []
    verify_secret = argon2.low_level.verify_secret

    def noted(hashed: bytes, *rest: Any) -> bool:
        costs.append(argon2.extract_parameters(hashed.decode()))
        return verify_secret(hashed, *rest)

    monkeypatch.setattr("argon2._password_hasher.verify_secret", noted)
    for name in ("Anna", "Nobody"):
        await post(client, "/login", {"username": name, "password": "wrong horse"}, 400)
    known, unknown = costs
    assert known == unknown


async def test_password_is_kept_as_argon2id_with_its_parameters(client: Any, pool: Any) -> None:
    await post(client, "/register", ANNA, 201)
    assert (await pool.fetchval("select password from users")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_hash_of_older_parameters_is_made_anew_at_the_login(client: Any, pool: Any) -> None:
    await post(client, "/register", ANNA, 201)
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(b"correct horse")
    await pool.execute("update users set password = $1", weak)
    token = (await post(client, "/login", CREDENTIALS, 200))["token"]
    assert "m=19456" in await pool.fetchval("select password from users")
    client.session.cookie_jar.clear()
    assert (await client.get("/analytics", headers={"Authorization": f"Bearer {token}"})).status == 200


async def test_more_logins_than_may_wait_are_503_and_not_hashed(start: Start, hashing: threading.Event) -> None:
    client = await start(throttle_exempt=LOCAL)
    logins = [asyncio.create_task(client.post("/login", json={**CREDENTIALS, "username": f"n{n}"})) for n in range(60)]
    await until(lambda: sum(task.done() for task in logins) == 60 - 12)
    hashing.set()
    responses = await asyncio.gather(*logins)
    statuses = [one.status for one in responses]
    assert set(statuses) == {400, 503}
    assert statuses.count(400) >= 12  # two at once and ten that wait, all from one address
    assert all("Retry-After" in one.headers for one in responses if one.status == 503)


# Cookies


def _expires(response: Any) -> str:
    """The Expires that belongs to Max-Age=86400, by the response's own Date, before which a second may have ended."""
    sent = parsedate_to_datetime(response.headers["Date"]) + timedelta(days=1)
    possible = [format_datetime(sent - timedelta(seconds=ago), usegmt=True) for ago in range(3)]
    return next((text for text in possible if f"Expires={text};" in response.headers["Set-Cookie"]), possible[0])


@pytest.mark.parametrize(
    ("frontend", "where"), [(None, "SameSite=Lax"), ("https://a.example", "Secure; SameSite=None")]
)
@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_session_begins_with_both_cookies_to_the_byte(
    start: Start, path: str, frontend: str | None, where: str
) -> None:
    client = await start(frontend_url=frontend)
    name = "K\u00e4the (it's!) ~*;,\U0001f600"
    sent = {**ANNA, "username": name}
    if path == "/login":
        await post(client, "/register", sent, 201)
    response = await client.post(path, json=sent)
    answer = await response.json()
    expires = _expires(response)
    encoded = (
        f"%7B%22id%22%3A{answer['user']['id']}%2C%22username%22%3A%22K%C3%A4the%20(it's!)%20~*%3B%2C%F0%9F%98%80%22"
        "%2C%22age%22%3A34%2C%22gender%22%3A%22Female%22%7D"
    )
    assert response.headers.getall("Set-Cookie") == [
        f"auth_token={answer['token']}; Max-Age=86400; Path=/; Expires={expires}; HttpOnly; {where}",
        f"user_data={encoded}; Max-Age=86400; Path=/; Expires={expires}; {where}",
    ]
    assert json.loads(unquote(encoded)) == answer["user"]


@pytest.mark.parametrize(
    ("frontend", "where"), [(None, "SameSite=Lax"), ("https://a.example", "Secure; SameSite=None")]
)
async def test_logout_takes_both_cookies_back(start: Start, frontend: str | None, where: str) -> None:
    client = await start(frontend_url=frontend)
    response = await client.post("/logout")
    assert (response.status, await response.json()) == (200, {"message": "Logged out successfully"})
    assert response.headers.getall("Set-Cookie") == [
        f"auth_token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; {where}",
        f"user_data=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; {where}",
    ]


async def test_browser_is_logged_in_by_its_cookie_and_out_by_logout(client: Any) -> None:
    await post(client, "/register", ANNA, 201)
    assert (await client.get("/analytics")).status == 200
    assert {cookie.key for cookie in client.session.cookie_jar} == {"auth_token", "user_data"}
    await client.post("/logout")
    assert (await client.get("/analytics")).status == 401
    assert not any(cookie.value for cookie in client.session.cookie_jar)


async def test_logout_makes_the_token_worthless_and_no_other(client: Any) -> None:
    one = await bearer(client)
    other = {"Authorization": f"Bearer {(await post(client, '/login', CREDENTIALS, 200))['token']}"}
    client.session.cookie_jar.clear()
    await post(client, "/logout", {}, 200, **one)
    await post(client, "/logout", {}, 200, **one)
    assert [(await client.get("/analytics", headers=headers)).status for headers in (one, other)] == [401, 200]


@pytest.mark.parametrize("header", ["another", "a.b.c", ""])
async def test_logout_ends_the_session_of_the_cookie_whatever_the_header_says(client: Any, header: str) -> None:
    another = await bearer(client, username="Bert")
    cookie = {"Cookie": f"auth_token={(await bearer(client))['Authorization'].removeprefix('Bearer ')}"}
    client.session.cookie_jar.clear()
    shown = another if header == "another" else {"Authorization": f"Bearer {header}"}
    await post(client, "/logout", {}, 200, **shown, **cookie)
    client.session.cookie_jar.clear()
    assert (await client.get("/analytics", headers=cookie)).status == 401
    assert (await client.get("/analytics", headers=another)).status == (401 if header == "another" else 200)


async def test_name_with_spaces_around_it_is_no_other_name(client: Any) -> None:
    await post(client, "/register", ANNA, 201)
    await post(client, "/register", {**ANNA, "username": " anna "}, 400)
    await post(client, "/login", {**CREDENTIALS, "username": "Anna "}, 200)


async def test_expired_revocations_are_not_kept(client: Any, pool: Any) -> None:
    await pool.execute("insert into revoked_tokens values (gen_random_uuid(), now() - interval '61 minutes')")
    await post(client, "/logout", {}, 200, **await bearer(client))
    assert await pool.fetchval("select min(expires_at) from revoked_tokens") > datetime.now(UTC)
    assert await pool.fetchval("select count(*) from revoked_tokens") == 1


async def test_password_change_and_removal_make_every_token_worthless(client: Any, pool: Any) -> None:
    anna, bert = await bearer(client), await bearer(client, username="Bert")
    known = client.app[ACCOUNTS]
    await known.change_password("anna", "another horse")
    await known.remove("BERT")
    assert [(await client.get("/analytics", headers=headers)).status for headers in (anna, bert)] == [401, 401]
    await post(client, "/login", CREDENTIALS, 400)
    await post(client, "/login", {**CREDENTIALS, "password": "another horse"}, 200)
    with pytest.raises(AccountRefused, match="no user Bert"):
        await known.remove("Bert")


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
    ],
)
async def test_write_that_another_sites_page_made_is_refused(client: Any, headers: dict[str, str]) -> None:
    token = await bearer(client)
    await post(client, "/login", CREDENTIALS, 200)  # now with the cookie
    for path, body in [
        ("/track", {"feature_name": "a"}), ("/login", CREDENTIALS), ("/register", ANNA), ("/logout", {}),
    ]:  # fmt: skip
        response = await client.post(path, json=body, headers=headers)
        assert response.status == 403, path
        assert "Set-Cookie" not in response.headers
    assert (await client.post("/track", json={"feature_name": "a"}, headers={**headers, **token})).status == 201


async def test_own_page_and_programs_may_write_with_the_cookie(client: Any) -> None:
    await post(client, "/register", ANNA, 201)
    own = f"http://127.0.0.1:{client.port}"
    for headers in [{}, {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]:
        assert (await client.post("/track", json={"feature_name": "a"}, headers=headers)).status == 201


async def test_cookie_writes_demand_json(client: Any) -> None:
    await post(client, "/register", ANNA, 201)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        for path in ("/track", "/logout"):
            response = await client.post(path, data=b'{"feature_name":"a"}', headers={"Content-Type": content_type})
            assert response.status == 415


async def test_page_at_frontend_url_may_use_the_accounts_and_nothing_else(start: Start) -> None:
    page = {"Origin": "https://app.example"}
    client = await start(frontend_url="https://app.example")
    response = await client.post("/register", json=ANNA, headers={**page, "Sec-Fetch-Site": "cross-site"})
    token = {"Cookie": f"auth_token={(await response.json())['token']}"}
    tracked = await client.post("/track", json={"feature_name": "a"}, headers={**page, **token})
    read = await client.get("/analytics", headers={**page, **token})
    wrong = await client.get("/analytics", headers=page)
    for answer, status in [(response, 201), (tracked, 201), (read, 200), (wrong, 401)]:
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = await client.options("/track", headers={**page, **ask})
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type"
    assert "Access-Control-Allow-Origin" not in (await client.get("/logins/stats", headers=page)).headers
    evil = await client.options("/track", headers={"Origin": "https://evil.example", **ask})
    assert "Access-Control-Allow-Origin" not in evil.headers
