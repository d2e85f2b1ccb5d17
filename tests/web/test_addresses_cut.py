"""Addresses are cut before they are stored, in whatever part of an event a sender put them."""

from __future__ import annotations

from typing import Any

import pytest

from statsd.web.addresses import cut, cut_values

LOGIN = {"user_id": 7, "ip_address": "203.0.113.77", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox"}
WHOLE = ("203.0.113.77", "2001:db8:1:2:3::7")


@pytest.mark.parametrize(
    ("address", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::7", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("laptop-of-anna", "none"),
        ("203.0.113.77:443", "none"),
    ],
)
def test_truncated_leaves_the_network_and_nothing_of_another_text(address: str, truncated: str) -> None:
    assert (cut(address, "full"), cut(address, "truncated"), cut(address, "none")) == (address, truncated, "none")


def test_addresses_at_any_depth_of_metadata_are_cut_and_nothing_else() -> None:
    data = {"ip": WHOLE[0], "hops": [{"at": "[2001:db8::1]"}, WHOLE[1]], "page": "/home", "n": 7, "no": None}
    cut_data = {"ip": "203.0.113.0", "hops": [{"at": "none"}, "2001:db8:1::"], "page": "/home", "n": 7, "no": None}
    assert cut_values(data, "truncated") == cut_data


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize(("ip", "stored"), [("full", "203.0.113.77"), ("truncated", "203.0.113.0"), ("none", "none")])
async def test_every_way_in_stores_the_cut_address(start: Any, pool: Any, ip: str, stored: str, lean: bool) -> None:
    client = await start(ip=ip, lean=lean)
    data = {"userId": "7", "client": {"ip": "203.0.113.77"}}
    event = {"eventType": "login", "userId": "7", "metadata": data}
    cloud = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": data}
    await client.post("/logins", json=LOGIN)
    await client.post("/logins", json=[LOGIN, LOGIN])
    for _ in range(2):  # the second is a repeat: it is compared as it was stored
        answer = await client.post("/logins", json=LOGIN, headers={"Idempotency-Key": "one"})
        assert answer.status in (200, 201)
        assert (await answer.json())["ip_address"] == stored
    await client.post("/webhook", json=event)
    await client.post("/webhook", json=[event])
    headers = {"Content-Type": "application/cloudevents+json"}
    await client.post("/webhook", json=cloud, headers=headers)
    assert {row["ip_address"] for row in await pool.fetch("select ip_address from user_logins")} == {stored}
    texts = [row["metadata"] for row in await pool.fetch("select metadata::text as metadata from webhook_events")]
    assert len(texts) == 3
    assert all(("203.0.113.77" in text) == (ip == "full") and stored in text for text in texts)
