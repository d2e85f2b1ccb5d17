"""The throttle of logins. Addresses are told by a proxy that is trusted; time passes only where a test says so."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import asyncpg
import pytest
from waiting import until

from statsd.accounts import passwords, throttle
from statsd.accounts.users import ACCOUNTS
from statsd.database.pool import POOL

Start = Callable[..., Awaitable[Any]]
ANNA = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
HOME, AWAY, ELSEWHERE = "203.0.113.1", "198.51.100.2", "192.0.2.3"


@pytest.fixture(autouse=True)
async def clock(database_url: str) -> None:
    """Let time stand still in the database: hashing takes longer than the first delay where the machine is busy."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("""
        create schema clock;
        create table clock.moment as select pg_catalog.now() as now;
        create function clock.now() returns timestamptz language sql stable as $$ select now from clock.moment $$
    """)
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set search_path = clock, pg_catalog, public")
    await connection.close()


@pytest.fixture
async def client(start: Start) -> Any:
    made = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    assert (await made.post("/register", json=ANNA)).status == 201
    return made


async def login(client: Any, password: str = "wrong horse", address: str = AWAY, name: str = "Anna") -> Any:
    body = {"username": name, "password": password}
    return await client.post("/login", json=body, headers={"X-Forwarded-For": address})


async def statuses(client: Any, times: int, **given: str) -> list[int]:
    return [(await login(client, **given)).status for _ in range(times)]


async def pass_time(client: Any, seconds: float) -> None:
    await client.app[POOL].execute("update clock.moment set now = now + make_interval(secs => $1)", seconds)


async def test_wrong_passwords_wait_longer_and_longer(client: Any) -> None:
    assert await statuses(client, 5) == [400] * 5
    for seconds in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        refused = await login(client)
        assert (refused.status, int(refused.headers["Retry-After"])) == (429, seconds)
        assert await refused.json() == {"error": "Too many login attempts, try again later"}
        await pass_time(client, seconds)
        assert (await login(client)).status == 400


async def test_right_password_waits_too_and_then_starts_anew(client: Any) -> None:
    assert await statuses(client, 6) == [400] * 5 + [429]
    assert (await login(client, "correct horse")).status == 429
    await pass_time(client, 1)
    assert (await login(client, "correct horse")).status == 200
    assert await statuses(client, 6) == [400] * 5 + [429]


async def test_refused_attempts_lengthen_nothing(client: Any) -> None:
    await statuses(client, 30)
    assert (await login(client)).headers["Retry-After"] == "1"


async def test_quarter_of_an_hour_forgives(client: Any) -> None:
    await statuses(client, 6)
    await pass_time(client, 901)
    assert await statuses(client, 6) == [400] * 5 + [429]


async def test_attack_from_elsewhere_does_not_keep_the_owner_out(client: Any) -> None:
    await statuses(client, 10, address=AWAY)
    assert (await login(client, "correct horse", HOME)).status == 200


async def test_unknown_names_are_throttled_like_known_ones(client: Any) -> None:
    assert await statuses(client, 6, name="Nobody") == [400] * 5 + [429]


async def test_name_is_one_in_whatever_case_it_is_tried(client: Any) -> None:
    found = [(await login(client, name=name)).status for name in ("anna", "ANNA", "Anna", "aNNA", "AnnA", "anNA")]
    assert found == [400] * 5 + [429]


async def test_address_that_tries_many_names_waits_but_not_those_who_are_at_home_there(client: Any) -> None:
    assert (await login(client, "correct horse", HOME)).status == 200
    assert [(await login(client, name=f"n{n}", address=HOME)).status for n in range(31)] == [400] * 30 + [429]
    assert (await login(client, name="another", address=HOME)).status == 429
    assert (await login(client, "correct horse", HOME)).status == 200


async def test_name_that_is_tried_from_everywhere_waits_but_not_at_home(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "NAME", throttle.Rule(free=8, longest=60))
    assert (await login(client, "correct horse", HOME)).status == 200
    found = [(await login(client, address=f"198.51.100.{n}")).status for n in range(9)]
    assert found == [400] * 8 + [429]
    assert (await login(client, "correct horse", ELSEWHERE)).status == 429
    assert (await login(client, "correct horse", HOME)).status == 200
    await pass_time(client, 1)
    assert (await login(client, "correct horse", ELSEWHERE)).status == 200


async def test_attempts_at_once_are_no_way_around(client: Any) -> None:
    responses = await asyncio.gather(*(login(client) for _ in range(20)))
    assert sorted(one.status for one in responses) == [400] * 5 + [429] * 15


async def test_servers_on_one_database_agree(client: Any, start: Start) -> None:
    second = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    assert await statuses(client, 3) + await statuses(second, 3) == [400] * 5 + [429]


async def test_addresses_of_one_ipv6_network_are_one(client: Any) -> None:
    found = [(await login(client, address=f"2001:db8::{n}")).status for n in range(6)]
    assert found == [400] * 5 + [429]
    assert (await login(client, address="2001:db8:0:1::1")).status == 400
    mapped = [(await login(client, address=f"::ffff:198.51.100.{n}")).status for n in range(6)]
    assert mapped == [400] * 6


async def test_forwarded_address_counts_only_from_a_trusted_proxy(start: Start) -> None:
    client = await start()
    found = [(await login(client, address=f"198.51.100.{n}")).status for n in range(6)]
    assert found == [400] * 5 + [429]


async def test_nearest_untrusted_hop_is_who_asks(client: Any) -> None:
    """What stands further left was written by the client."""
    found = [(await login(client, address=f"10.0.0.{n}, {AWAY}, 127.0.0.9")).status for n in range(6)]
    assert found == [400] * 5 + [429]


async def test_exempt_addresses_never_wait(start: Start) -> None:
    client = await start(throttle_exempt=(ip_network("127.0.0.0/8"),))
    assert await statuses(client, 12) == [400] * 12


async def test_what_is_forgiven_is_not_kept(client: Any, pool: Any) -> None:
    await statuses(client, 2)
    await pass_time(client, 901)
    await login(client, address=HOME, name="Bert")
    assert (
        await pool.fetchval("select count(*) from login_throttles where last_attempt < now() - interval '1 minute'")
        == 0
    )
    await pool.execute("insert into login_addresses values ('old', now() - interval '31 days')")
    await login(client, "correct horse")
    assert await pool.fetchval("select count(*) from login_addresses where subject = 'old'") == 0


async def test_who_registered_is_at_home_there(client: Any) -> None:
    """The proxy itself is who registered Anna, and then tries thirty other names."""
    response = [(await client.post("/login", json={"username": f"n{n}", "password": "wrong horse"})) for n in range(31)]
    assert [one.status for one in response] == [400] * 30 + [429]
    assert (await client.post("/login", json={**ANNA})).status == 200


async def test_nobody_is_kept_out_for_long_by_those_who_never_stop_trying(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six addresses take every turn they can get, second by second; the owner comes when told to, from a new place."""
    monkeypatch.setattr(throttle, "NAME", throttle.Rule(free=8, longest=throttle.NAME.longest))
    come_again, second = 0, 0
    while True:
        await asyncio.gather(*(login(client, address=f"198.51.100.{n}") for n in range(6)))
        if second >= come_again:
            answer = await login(client, "correct horse", ELSEWHERE)
            if answer.status == 200:
                break
            come_again = second + int(answer.headers["Retry-After"])
        await pass_time(client, 1)
        second += 1
        assert second < 180


async def test_registrations_from_one_address_wait_after_thirty(client: Any) -> None:
    async def register(number: int) -> int:
        sent = {**ANNA, "username": f"n{number}"}
        return (await client.post("/register", json=sent, headers={"X-Forwarded-For": AWAY})).status

    assert [await register(number) for number in range(31)] == [201] * 30 + [429]


async def test_one_address_leaves_room_for_others_who_log_in(
    client: Any, monkeypatch: pytest.MonkeyPatch, hashing: threading.Event
) -> None:
    monkeypatch.setattr(throttle, "ADDRESS", throttle.Rule(free=100, longest=2))
    flood = [asyncio.create_task(login(client, name=f"n{n}")) for n in range(60)]
    refused = len(flood) - passwords.THREADS - passwords.MOST_WAITING_OF_ONE
    await until(lambda: sum(task.done() for task in flood) == refused)
    coming = asyncio.create_task(login(client, "correct horse", HOME))
    await until(lambda: client.app[ACCOUNTS]._passwords._waiting[HOME])
    hashing.set()
    assert (await coming).status == 200
    found = Counter(one.status for one in await asyncio.gather(*flood))
    assert set(found) == {400, 503}
    assert found[400] >= 2 + passwords.MOST_WAITING_OF_ONE
