"""Who asks, in every spelling that proxies have for it; and nobody has a limit of their own for a text of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from statsd.app import make_app
from statsd.settings import Settings, load
from statsd.web import addresses, forwarded
from statsd.web.addresses import client_address, client_network

Start = Callable[..., Awaitable[Any]]

ANNA = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}
PROXIES = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "2001:db8:ffff::/48")))
APP = make_app(Settings(trusted_proxies=PROXIES))
PEER = "127.0.0.1"
TRANSFERS = "/statistics/transfers/minute"
EVENTS = {"Accept": "text/event-stream"}
FOUR, SIX, LOCAL = "203.0.113.6", "2001:db8::7", "fe80::1"

SPELLINGS = {
    FOUR: (
        *(FOUR, f"{FOUR}:5000", f"{FOUR}:", f" {FOUR}\t", f'"{FOUR}:80"', f"[{FOUR}]:80", f"{FOUR}:_port"),
        *(f"::ffff:{FOUR}", "::ffff:cb00:7106", f"[::FFFF:{FOUR}]:443"),
    ),
    SIX: (SIX, f"[{SIX}]", f"[{SIX}]:443", "2001:0DB8:0:0::0007", f'"[{SIX}]:_x"'),
    LOCAL: (LOCAL, "fe80::1%eth0", "[fe80::1%25eth0]:80", "FE80::1%1"),
    PEER: (  # none of these is an address
        *("unknown", "_hidden", "_SEVKISEK", "localhost", "example.org:80", "-", "*", "for=203.0.113.6", ":80", "[]"),
        *(f"{FOUR}:port", f"{FOUR}:123456", f"{FOUR}:1:2", f"{FOUR} x", "203.0.113", "203.0.113.256", "203.0.113.06"),
        *("[::1", "::1]", f"[{SIX}]x", f"[{SIX}]:x", "::ffff:1.2.3", "1:2:3:4:5:6:7:8:5000", "fe80::1%"),
    ),
}


def asker(*lines: tuple[str, str], peer: str = PEER) -> str:
    """The address of who sends these header lines through the peer."""
    request = make_mocked_request("GET", "/", CIMultiDict(lines), app=APP)
    return client_address(request.clone(remote=peer))


@pytest.mark.parametrize(
    ("spelling", "address"), [(spelling, address) for address, group in SPELLINGS.items() for spelling in group]
)
def test_port_brackets_quotes_and_zone_come_off(spelling: str, address: str) -> None:
    assert asker(("X-Forwarded-For", spelling)) == address
    assert asker(("X-Forwarded-For", f"198.51.100.1, {spelling}")) == address
    quoted = spelling.strip().strip('"')
    assert asker(("Forwarded", f'for="{quoted}"')) == address
    assert asker(("forwarded", f'for=198.51.100.1, proto=https;FOR="{quoted}";by=_x')) == address


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["198.51.100.1, 203.0.113.6"], FOUR),  # what stands further left was written by the client
        (["198.51.100.1", "203.0.113.6:80"], FOUR),
        (["203.0.113.6, 10.0.0.1", "10.0.0.2:80, [2001:db8:ffff::1]:443"], FOUR),
        (["203.0.113.6, ::ffff:10.0.0.1"], FOUR),
        (["203.0.113.6, , ,"], FOUR),
        (["203.0.113.6, unknown"], PEER),
        (["203.0.113.6, unknown, 10.0.0.1"], "10.0.0.1"),  # the last one that is known: a proxy
        (["10.0.0.1"], "10.0.0.1"),
        ([""], PEER),
        ([", ".join(["203.0.113.6"] + ["10.0.0.1"] * 30)], "10.0.0.1"),
    ],
)
def test_nearest_address_that_is_no_proxy_asks(lines: list[str], address: str) -> None:
    assert asker(*(("X-Forwarded-For", line) for line in lines)) == address
    assert asker(*(("X-Forwarded-For", line) for line in lines), ("Forwarded", "for=198.51.100.9")) == address


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["for=192.0.2.43, for=203.0.113.6"], FOUR),
        (['for="[2001:db8::7]:4711"'], SIX),
        (["for=192.0.2.43", "For=203.0.113.6:80;Proto=http; by=203.0.113.43"], FOUR),
        (["for=203.0.113.6, for=10.0.0.1;by=10.0.0.2,for=10.0.0.3"], FOUR),
        (['for="\\2\\03.0.113.6"'], FOUR),
        (['for=203.0.113.6;host="a,b;for=198.51.100.1"'], FOUR),
        (['for=", for=203.0.113.6'], FOUR),  # a client's open quote swallows nothing
        (['for="x, for="[2001:db8::7]:80";proto=http'], SIX),
        (['for=198.51.100.1;x="a, for=203.0.113.6'], FOUR),
        (["for=203.0.113.6, by=10.0.0.1"], PEER),
        (["for=203.0.113.6, nonsense"], PEER),
        (["for=203.0.113.6, for = 198.51.100.1"], PEER),
        (["for=203.0.113.6,"], FOUR),
        (["for=_a, for=_b"], PEER),
        (["; ;" * 2000 + '"'], PEER),
        (["for=" + '"' * 8000], PEER),
    ],
)
def test_forwarded_is_read_from_its_end(lines: list[str], address: str) -> None:
    assert asker(*(("Forwarded", line) for line in lines)) == address


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_nobody_but_a_trusted_proxy_is_believed(name: str) -> None:
    value = "for=203.0.113.6" if name == "Forwarded" else "203.0.113.6"
    assert asker((name, value), peer="198.51.100.1") == "198.51.100.1"
    assert asker((name, value), peer="::ffff:198.51.100.1") == "198.51.100.1"
    assert asker((name, value), peer="fe80::9%eth0") == "fe80::9"
    for peer in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8:ffff::2"):
        assert asker((name, value), peer=peer) == FOUR
    assert asker((name, value), peer="") == ""  # a Unix socket


@given(st.ip_addresses(), st.integers(0, 65_535), st.sampled_from(["", "%eth0", "%25en1"]))
def test_every_address_is_the_same_in_every_spelling(address: IPv4Address | IPv6Address, port: int, zone: str) -> None:
    bare = str(getattr(address, "ipv4_mapped", None) or address)
    if isinstance(address, IPv4Address):
        spellings = [bare, f"{bare}:{port}", f"::ffff:{bare}", f"[::ffff:{bare}]:{port}"]
    else:
        spellings = [f"{address}{zone}", f"[{address}{zone}]:{port}", address.exploded.upper(), f"[{address.exploded}]"]
    found = {str(addresses.ip_of(spelling)) for spelling in spellings}
    assert found == {bare}
    assert len({client_network(spelling) for spelling in (bare, *found)}) == 1


@given(st.text(alphabet=' ,;="\\[]:%._-for127', max_size=40))
def test_whatever_a_client_writes_the_proxy_has_the_last_word(text: str) -> None:
    assert asker(("X-Forwarded-For", f"{text}, 203.0.113.6:99")) == FOUR
    assert asker(("Forwarded", f'{text}, for="203.0.113.6:99";proto=http')) == FOUR
    assert asker(("X-Forwarded-For", text), peer="198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize(
    ("headers", "is_https"),
    [
        ({"Forwarded": "for=203.0.113.6;proto=https"}, True),
        ({"Forwarded": 'for=203.0.113.6;Proto="HTTPS", for=10.0.0.1;proto=http'}, True),
        ({"Forwarded": "proto=http, proto=https"}, False),
        ({"Forwarded": "for=203.0.113.6"}, False),
        ({"Forwarded": "proto=https", "X-Forwarded-Proto": "http"}, False),
        ({"Forwarded": ""}, False),
        ({}, False),
    ],
)
def test_forwarded_also_says_whether_it_was_tls(headers: dict[str, str], is_https: bool) -> None:
    assert forwarded.is_https(headers) is is_https


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::ffff:10.0.0.1", "10.0.0.1/32"), ("fe80::1%eth0", "fe80::1/128"),
        ("fe80::%eth0/64", "fe80::/64"), ("::ffff:0:0/96", "0.0.0.0/0"), ("::/0", "::/0"),
    ],
)  # fmt: skip
def test_trusted_proxies_are_compared_as_addresses_are(written: str, network: str) -> None:
    assert load({}, {"TRUSTED_PROXIES": written}).trusted_proxies == (ip_network(network),)


async def login(client: Any, name: str, value: str) -> int:
    body = {"username": "Anna", "password": "wrong horse"}
    return int((await client.post("/login", json=body, headers={name: value})).status)


@pytest.mark.parametrize(
    "spelling", ["203.0.113.6:{}", "[2001:db8::7]:{}", "[2001:db8::{}]:443", "fe80::1%eth{}", "_client{}", "unknown:{}"]
)
async def test_other_port_or_name_is_no_other_client_to_the_throttle(start: Start, spelling: str) -> None:
    client = await start(trusted_proxies=PROXIES)
    found = [await login(client, "X-Forwarded-For", spelling.format(5000 + n)) for n in range(9)]
    assert found == [400] * 5 + [429] * 4
    assert await login(client, "Forwarded", f'for="{spelling.format(1)}"') == 429


async def test_other_port_or_name_is_no_other_client_to_the_limits_of_streams(start: Start) -> None:
    client = await start(trusted_proxies=PROXIES)

    async def is_open(value: str) -> bool:
        stream = await client.get(TRANSFERS, headers={**EVENTS, "X-Forwarded-For": value})
        first: bytes = await stream.content.readline()
        return first == b"retry: 3000\n"

    assert sum([await is_open(f"203.0.113.6:{port}") for port in range(5_000, 5_105)]) == 100
    assert sum([await is_open(f"_client{number}") for number in range(105)]) == 100


async def test_other_port_is_no_other_client_to_the_limits_of_sockets(start: Start) -> None:
    client = await start(trusted_proxies=PROXIES)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    asked = [
        await client.get("/ws", headers={**upgrade, **key, "Forwarded": f'for="[2001:db8::7]:{port}"'})
        for port in range(5_000, 5_105)
    ]
    assert [response.status for response in asked] == [101] * 100 + [503] * 5


async def test_other_port_is_no_other_client_to_the_limit_of_registrations(start: Start) -> None:
    client = await start(trusted_proxies=PROXIES)
    for number in range(30):
        sent = {**ANNA, "username": f"n{number}"}
        await client.post("/register", json=sent, headers={"X-Forwarded-For": f"203.0.113.6:{number}"})
    late = await client.post("/register", json=ANNA, headers={"X-Forwarded-For": "203.0.113.6:31"})
    assert late.status == 429
