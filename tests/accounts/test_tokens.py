"""Tokens: everything that is not exactly ours is refused, in the same words, and tells nothing."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from program import Program
from waiting import missing, until

from statsd.accounts import tokens
from statsd.accounts.tokens import Tokens
from statsd.errors import StatsError, Unauthenticated

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
HEADER = {"alg": "HS256", "typ": "JWT"}
USER = 1_000_000  # who does not exist


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header: Any, payload: Any, key: str = SECRET, hashing: str = "sha256") -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.new(key.encode(), signed.encode(), hashing).digest())}"


def payload(**changes: Any) -> dict[str, Any]:
    """What a token of ours says, changed; `...` leaves a claim out."""
    now = int(time.time())
    ours = {
        "iss": "statsd-live", "aud": "statsd-live", "sub": str(USER), "userId": USER, "username": "Anna", "version": 1,
        "iat": now, "exp": now + 86_400, "jti": "01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f",
    }  # fmt: skip
    return {name: value for name, value in {**ours, **changes}.items() if value is not ...}


def swapped() -> str:
    header, _, signature = sign(HEADER, payload()).split(".")
    return f"{header}.{b64(json.dumps(payload(sub='7', userId=7)).encode())}.{signature}"


NOW = int(time.time())
FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: sign({"alg": "none", "typ": "JWT"}, payload()).rsplit(".", 1)[0] + ".",
    "alg none, signed": lambda: sign({"alg": "none", "typ": "JWT"}, payload()),
    "alg None": lambda: sign({"alg": "None"}, payload()),
    "alg HS512": lambda: sign({"alg": "HS512", "typ": "JWT"}, payload(), hashing="sha512"),
    "alg RS256": lambda: sign({"alg": "RS256", "typ": "JWT"}, payload()),
    "alg list": lambda: sign({"alg": ["HS256"]}, payload()),
    "no alg": lambda: sign({"typ": "JWT"}, payload()),
    "other key": lambda: sign(HEADER, payload(), OTHER),
    "empty key": lambda: sign(HEADER, payload(), ""),
    "expired": lambda: sign(HEADER, payload(iat=NOW - 7200, exp=NOW - 3600)),
    "expired beyond the leeway": lambda: sign(HEADER, payload(iat=NOW - 3600, exp=NOW - 10)),
    "not yet valid": lambda: sign(HEADER, payload(nbf=int(time.time()) + 3600)),
    "of the future": lambda: sign(HEADER, payload(iat=int(time.time()) + 3600, exp=int(time.time()) + 7200)),
    "of a clock too far ahead": lambda: sign(HEADER, payload(iat=int(time.time()) + tokens.CLOCK_SECONDS + 10)),
    "expired, of the future": lambda: sign(HEADER, payload(iat=NOW - 7200, exp=NOW - 120)),
    "for a year": lambda: sign(HEADER, payload(exp=int(time.time()) + 31_536_000)),
    "truncated": lambda: sign(HEADER, payload())[:-10],
    "no signature": lambda: sign(HEADER, payload()).rsplit(".", 1)[0] + ".",
    "padded": lambda: sign(HEADER, payload()) + "=",
    "four parts": lambda: sign(HEADER, payload()) + ".a",
    "swapped payload": swapped,
    "too long": lambda: sign(HEADER, payload(username="x" * 5000)),
    "header key crit": lambda: sign({**HEADER, "crit": ["exp"]}, payload()),
    "header key kid": lambda: sign({**HEADER, "kid": "../../dev/null"}, payload()),
    "header key jku": lambda: sign({**HEADER, "jku": "https://evil.example"}, payload()),
    "header key jwk": lambda: sign({**HEADER, "jwk": {"kty": "oct", "k": "eA"}}, payload()),
    "other typ": lambda: sign({**HEADER, "typ": "at+jwt"}, payload()),
    "payload array": lambda: sign(HEADER, b"[]"),
    "payload no JSON": lambda: sign(HEADER, b"\xff{"),
    "payload deep": lambda: sign(HEADER, b"[" * 1400 + b"]" * 1400),
    "header deep": lambda: sign(b"[" * 1400 + b"]" * 1400, payload()),
    "exp huge": lambda: sign(HEADER, json.dumps(payload(exp=1)).replace('"exp": 1', '"exp": 1e400').encode()),
    "exp NaN": lambda: sign(HEADER, payload(exp=float("nan"))),
    "exp fraction": lambda: sign(HEADER, payload(exp=time.time() + 1000.5)),
    "deleted user": lambda: sign(HEADER, payload()),
    "older version": lambda: sign(HEADER, payload(version=2**31 - 1)),
} | {
    f"{name} {value!r}": lambda name=name, value=value: sign(HEADER, payload(**{name: value}))
    for name, values in {
        "iss": [..., "https://evil.example"], "aud": [..., "other"], "sub": [..., 5, "7", ""], "jti": [..., "x", 5],
        "userId": [..., "7", 0, -1, 2**31, 10**30, True, None], "username": [..., 5], "version": [..., "1", True, 1.0],
        "iat": [..., "5", True], "exp": [..., "9999999999", True, -1, None],
    }.items()
    for value in values
}  # fmt: skip


async def test_token_of_every_forged_kind_is_401_and_tells_nothing(start: Any) -> None:
    client = await start(jwt_secret=SECRET)
    for kind, forge in FORGED.items():
        token = forge()
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"auth_token={token}"}):
            response = await client.get("/analytics", headers=headers)
            assert response.status == 401, kind
            assert await response.json() == {"error": "Invalid or expired token"}, kind
            assert response.headers["WWW-Authenticate"] == "Bearer"
    tracked = await client.post("/track", json={}, headers={"Authorization": f"Bearer {FORGED['other key']()}"})
    assert tracked.status == 401


@pytest.mark.parametrize("kind", [kind for kind in FORGED if kind not in ("deleted user", "older version")])
def test_forged_token_is_refused_before_its_user_is_looked_up(kind: str) -> None:
    with pytest.raises(Unauthenticated):
        Tokens(SECRET).read(FORGED[kind]())


def test_payload_of_ours_is_believed_where_the_key_is_ours() -> None:
    """So that those above are refused for what they say they are."""
    assert Tokens(SECRET).read(sign(HEADER, payload())).user_id == USER
    assert Tokens(SECRET).read(sign({"alg": "HS256"}, payload())).user_id == USER
    now = int(time.time())
    assert Tokens(SECRET).read(sign(HEADER, payload(iat=now - 86_000, exp=now - 1))).user_id == USER  # clocks differ


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], "No token provided"),
        ([("Authorization", "Bearer")], "No token provided"),
        ([("Authorization", "Bearer ")], "No token provided"),
        ([("Authorization", "Basic YTpi")], "No token provided"),
        ([("Authorization", sign(HEADER, payload()))], "No token provided"),
        ([("Authorization", "Bearer a b")], "Invalid or expired token"),
        ([("Authorization", "bearer ..")], "Invalid or expired token"),
        ([("Authorization", "Bearer a.b.c")], "Invalid or expired token"),
        ([("Authorization", "Bearer \u00e9.\u00e9.\u00e9")], "Invalid or expired token"),
        ([("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer a.b.c")], "Invalid or expired token"),
        ([("Cookie", "auth_token=")], "No token provided"),
        ([("Cookie", "auth_token=abc")], "Invalid or expired token"),
    ],
)
async def test_what_is_no_token_is_401(client: Any, headers: list[tuple[str, str]], error: str) -> None:
    for path in ("/analytics", "/analytics?tz=Asia/Tokyo"):
        response = await client.get(path, headers=headers)
        assert (response.status, await response.json()) == (401, {"error": error})


async def test_other_cookies_do_not_hide_the_token(client: Any) -> None:
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    token = (await (await client.post("/register", json=sent)).json())["token"]
    client.session.cookie_jar.clear()
    for other in (
        'vigility_filters_7={"ageGroup":"<18","gender":"All"}',
        "a",
        "b=c=d",
        'q="x',
        "user_data=%7B%22id%22",
    ):
        response = await client.get("/analytics", headers={"Cookie": f"{other}; auth_token={token}; {other}"})
        assert response.status == 200, other


async def test_token_in_a_query_is_no_token(client: Any) -> None:
    assert (await client.get(f"/analytics?token={sign(HEADER, payload())}")).status == 401


async def test_header_wins_over_a_stale_cookie(client: Any) -> None:
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    token = (await (await client.post("/register", json=sent)).json())["token"]
    client.session.cookie_jar.clear()
    good, stale = {"Authorization": f"Bearer {token}"}, {"Cookie": "auth_token=a.b.c"}
    assert (await client.get("/analytics", headers={**good, **stale})).status == 200
    mixed = {"Authorization": "Bearer a.b.c", "Cookie": f"auth_token={token}"}
    assert (await client.get("/analytics", headers=mixed)).status == 401
    basic = {"Authorization": "Basic YTpi", "Cookie": f"auth_token={token}"}  # a proxy's own password
    assert (await client.get("/analytics", headers=basic)).status == 200


async def test_claims_are_the_documented_ones(client: Any) -> None:
    sent = {"username": "K\u00e4the", "password": "correct horse", "age": 34, "gender": "Female"}
    answer = await (await client.post("/register", json=sent)).json()
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in answer["token"].split(".")[:2])
    assert header == HEADER
    assert claims["userId"] == answer["user"]["id"]
    assert claims["sub"] == str(claims["userId"])
    assert claims["username"] == "K\u00e4the"
    assert claims["exp"] - claims["iat"] == 86_400
    assert len(claims["jti"]) == 36
    assert "password" not in claims


def test_tokens_of_the_previous_secret_count_while_it_is_named() -> None:
    old, both, new = Tokens(OTHER), Tokens(SECRET, OTHER), Tokens(SECRET)
    token = old.make(7, "Anna", 1)
    assert both.read(token).user_id == 7
    assert new.read(both.make(7, "Anna", 1)).user_id == 7
    with pytest.raises(Unauthenticated):
        new.read(token)


def test_remembered_token_believes_no_other_characters() -> None:
    known = Tokens(SECRET)
    token = known.make(7, "Anna", 1)
    assert known.read(token) is known.read(str(token.encode(), "ascii"))
    for place in range(len(token)):
        changed = f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
        if place < len(token) - 1:  # the last character has bits that count for nothing
            with pytest.raises(Unauthenticated):
                known.read(changed)
    assert known.read(token).user_id == 7


def test_remembered_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 10)
    known = Tokens(SECRET)
    for _ in range(50):
        known.read(known.make(7, "Anna", 1))
    for forge in FORGED.values():
        with suppress(Unauthenticated):
            known.read(forge())
    assert known._verified.cache_info().currsize == 10


async def test_remembered_token_ends_with_its_last_second() -> None:
    known, ends = Tokens(SECRET), int(time.time()) + 3
    token = sign(HEADER, payload(iat=ends - 100, exp=ends - tokens.LEEWAY_SECONDS))
    accepted = 0.0

    def is_refused() -> bool:
        nonlocal accepted
        begun = time.time()
        try:
            known.read(token)
        except Unauthenticated:
            return True
        accepted = begun
        return False

    assert not is_refused()
    await until(is_refused)
    assert accepted < ends <= time.time()


async def test_secret_is_made_once_however_many_ask_and_is_their_owners_alone(folder: Path) -> None:
    made = await asyncio.gather(*(asyncio.to_thread(tokens.kept_secret, folder) for _ in range(8)))
    assert len(set(made)) == 1
    assert len(made[0]) == 64
    assert [file.name for file in folder.iterdir()] == ["jwt_secret"]
    assert stat.S_IMODE((folder / "jwt_secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_kept_secret_that_cannot_be_used_is_said_in_a_sentence(folder: Path, content: bytes) -> None:
    (folder / "jwt_secret").write_bytes(content)
    with pytest.raises(StatsError, match=r"jwt_secret .*set JWT_SECRET"):
        tokens.kept_secret(folder)


def libfaketime() -> str:
    for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(path)
    missing("libfaketime is needed: apt-get install libfaketime")


@pytest.mark.parametrize("seconds", [120, -120])
async def test_sessions_survive_clocks_that_differ_by_minutes(
    start: Any, run: Callable[..., Program], database_url: str, seconds: int
) -> None:
    """Two servers on one database; the clock of the other is wrong. A token ends by the clock of who is asked."""
    here = await start(jwt_secret=SECRET)
    clock = {"LD_PRELOAD": libfaketime(), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    other = run("serve", "--port", "0", DATABASE_URL=database_url, JWT_SECRET=SECRET, **clock)
    address = await other.address()

    async def status(server: str, token: str) -> int:
        response = await here.session.get(f"{server}/analytics", headers={"Authorization": f"Bearer {token}"})
        return int(response.status)

    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    answer = await (await here.session.post(f"{address}/register", json=sent)).json()
    theirs, own = answer["token"], (await (await here.post("/login", json=sent)).json())["token"]
    here.session.cookie_jar.clear()
    now, user = int(time.time()), {"sub": str(answer["user"]["id"]), "userId": answer["user"]["id"]}
    servers = {0: str(here.make_url("")).rstrip("/"), seconds: address}
    for ahead, server in servers.items():
        assert await status(server, theirs) == 200
        assert await status(server, own) == 200
        for left in (60, -60):  # until the token ends
            token = sign(HEADER, payload(iat=now + ahead - 3600, exp=now + ahead + left, **user))
            assert await status(server, token) == (200 if left > 0 else 401)
    assert (await here.session.post(f"{address}/logout", headers={"Authorization": f"Bearer {theirs}"})).status == 200
    assert await status(servers[0], theirs) == 401


async def test_logins_outlive_the_program(start: Any) -> None:
    first = await start()
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    token = (await (await first.post("/register", json=sent)).json())["token"]
    await first.close()
    second = await start()
    assert (await second.get("/analytics", headers={"Authorization": f"Bearer {token}"})).status == 200
