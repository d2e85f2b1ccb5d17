"""Metrics: what is exported, that the page of operating lists it, and that its alert rules become true."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from data_folders import only_as_root
from databases import make_read_only
from disks import fill_disk, small_disk
from folders import ROOT
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from statsd import __version__
from statsd.ingest.outage import OUTAGE
from statsd.live.channel import CHANNEL
from statsd.site.health import STATE
from statsd.site.readings import READINGS

EVENT = {"site_id": "s", "event_type": "page_view", "path": "/", "user_id": "u", "timestamp": "2026-01-01T00:00:00Z"}
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
LETTER = "insert into dead_letters values ('30f6df32-03cf-4779-833b-aef9b1e3f61f', 'logins', '', '', '')"
PAGE = (ROOT / "static/docs/operating.html").read_text()
RULES = {
    rule["alert"]: rule["expr"]
    for rule in yaml.safe_load(html.unescape(PAGE.split("data-rules>")[1].split("</pre>")[0]))["groups"][0]["rules"]
}
TERM = r"(\w+)(?:\{(\w+)=(~?)\"([^\"]*)\"\})?"

Start = Callable[..., Awaitable[Any]]
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(autouse=True)
def patient_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that a busy machine delays is waited for."""
    monkeypatch.setattr("statsd.ingest.outage.PROBE_SECONDS", 10.0)
    monkeypatch.setattr("statsd.site.readings.CHECK_SECONDS", 10.0)


async def families(client: Any) -> list[Metric]:
    async with client.get("/metrics") as response:
        assert response.status == 200
        return list(text_string_to_metric_families(await response.text()))


async def samples(client: Any) -> Samples:
    found: Samples = {}
    for family in await families(client):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def total(found: Samples, name: str, **labels: str) -> float:
    return sum(value for own, value in found.get(name, []) if labels.items() <= own.items())


# ---- what is exported


async def test_page_of_operating_lists_every_metric_with_its_type_and_labels(client: Any) -> None:
    assert (await client.post("/logins", json=LOGIN)).status == 201
    table = PAGE.split("<table data-metrics>")[1].split("</table>")[0]
    rows = re.findall(r"<tr><td><code>(\w+)</code></td><td>(\w+)</td><td>([\w, ]*)</td>", table)
    listed = {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels in rows}
    exported = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in await families(client)
        if family.name.startswith("statsd_")
    }
    assert len(listed) == len(rows)
    assert {name: kind for name, (kind, _) in listed.items()} == {
        name: family.type for name, family in exported.items()
    }
    for name, family in exported.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == listed[name][1], name
    assert exported["statsd_build_info"].samples[0].labels == {"version": __version__}


async def test_requests_are_counted_by_pattern_method_and_status_whichever_way_they_take(start: Start) -> None:
    def number(found: Samples, route: str, method: str, status: int) -> float:
        return total(found, "statsd_request_seconds_count", route=route, method=method, status=str(status))

    for lean in (True, False):
        client = await start(lean=lean)
        before = await samples(client)
        for path in ("/nowhere/1", "/nowhere/2", "/jobs/1", "/jobs/2"):
            await client.get(path)
        for _ in range(3):
            assert (await client.post("/event", json=EVENT)).status == 202
        await client.post("/event", json={})
        await client.request("PROPFIND", "/event")
        async with client.ws_connect("/ws"):
            pass
        after = await samples(client)
        expected = {
            ("none", "GET", 404): 2, ("/jobs/{job}", "GET", 404): 2, ("/event", "POST", 202): 3,
            ("/event", "POST", 400): 1, ("none", "other", 405): 1, ("/ws", "GET", 101): 1,
        }  # fmt: skip
        assert {key: number(after, *key) - number(before, *key) for key in expected} == expected
        reasons = {"not_found": 4, "invalid": 1, "method": 1}
        name = "statsd_refusals_total"
        gained = {reason: total(after, name, reason=reason) - total(before, name, reason=reason) for reason in reasons}
        assert gained == reasons
        assert not any("nowhere" in str(after[name]) for name in after)


async def test_latency_is_a_histogram(client: Any) -> None:
    for _ in range(5):
        await client.post("/event", json=EVENT)
    found = await samples(client)
    own = {"route": "/event", "method": "POST", "status": "202"}
    buckets = [value for labels, value in found["statsd_request_seconds_bucket"] if own.items() <= labels.items()]
    assert buckets == sorted(buckets)
    assert buckets[-1] == total(found, "statsd_request_seconds_count", **own) >= 5
    assert total(found, "statsd_request_seconds_sum", **own) > 0


async def test_socket_without_a_place_is_a_refusal_and_a_probe_that_says_no_is_none(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statsd.live.places.MOST", 0)
    before = total(await samples(client), "statsd_refusals_total", reason="overloaded")
    assert (
        await client.get(
            "/ws",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
    ).status == 503
    client.app[STATE].phase = "stopping"
    assert (await client.get("/readyz")).status == 503
    assert total(await samples(client), "statsd_refusals_total", reason="overloaded") == before + 1


async def test_throttled_logins_are_counted(client: Any) -> None:
    before = total(await samples(client), "statsd_throttled_total", what="login_attempts")
    wrong = {"username": "Anna", "password": "wrong horse"}
    statuses = [(await client.post("/login", json=wrong)).status for _ in range(8)]
    after = await samples(client)
    assert statuses.count(429) == total(after, "statsd_throttled_total", what="login_attempts") - before > 0


async def test_dead_letter_and_damaged_file_are_seen_by_the_next_scrape(client: Any, pool: Any, folder: Path) -> None:
    for sign in (0.0, 1.0, 0.0):
        found = await samples(client)
        assert total(found, "statsd_dead_letters") == total(found, "statsd_spool_corrupt_files") == sign
        if sign:
            await pool.execute("delete from dead_letters")
            (folder / "spool/room-0/1.corrupt").unlink()
        else:
            await pool.execute(LETTER + " on conflict do nothing")
            (folder / "spool/room-0/1.corrupt").write_bytes(b"x")


async def test_moment_of_the_latest_event_is_known_at_every_server_and_after_a_restart(
    start: Start, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statsd.site.readings.MOMENTS_SECONDS", 0.05)
    first, second = await start(), await start()
    assert "pageviews" not in (await first.app[READINGS].take()).stored_at
    assert (await first.post("/event", json=EVENT)).status == 202
    assert (await first.app[READINGS].take()).stored_at["pageviews"]

    async def is_known() -> bool:
        return "pageviews" in (await second.app[READINGS].take()).stored_at

    await until(is_known)
    await first.close()
    moments = (await (await start()).app[READINGS].take()).stored_at
    assert datetime.now(UTC).timestamp() - moments["pageviews"] < 60


async def test_rows_that_other_programs_insert_are_events_of_their_stream(start: Start, pool: Any) -> None:
    client = await start(aggregate_seconds=0.1)
    await pool.execute(
        "insert into user_logins (user_id, ip_address, region, device_type, browser) values (1, '::1', 'UK', 'TV', 'O')"
    )

    async def is_known() -> bool:
        return "logins" in (await client.app[READINGS].take()).stored_at

    await until(is_known)


async def test_lost_listen_connection_is_seen(client: Any, pool: Any) -> None:
    await until(client.app[CHANNEL].listening.is_set)
    assert total(await samples(client), "statsd_listening") == 1
    since = client.app[CHANNEL].since
    await pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'statsd-live listen' and datname = current_database()"
    )
    await until(lambda: client.app[CHANNEL].since > since)
    await until(client.app[CHANNEL].listening.is_set)
    assert total(await samples(client), "statsd_listening") == 1


# ---- the alert rules


def holds(expression: str, before: Samples, after: Samples) -> bool:
    """Whether an alert rule is true after what happened between two scrapes; reads the few forms that the page uses."""
    match = re.fullmatch(rf"(increase\()?{TERM}(?:\[5m\]\))?(?: / {TERM})? (==|<|>) ([\d.]+)", expression)
    assert match, expression
    increase, *first, name, label, is_pattern, text, comparison, limit = match.groups()

    def value(found: Samples, name: str, label: str | None, is_pattern: str | None, text: str | None) -> float:
        wanted = re.compile((text if is_pattern else re.escape(text or "")) or "")
        return sum(value for own, value in found.get(name, []) if not label or wanted.fullmatch(own.get(label, "")))

    assert first[0] in after, f"{first[0]} is not exported"
    number = value(after, *first) - (value(before, *first) if increase else 0.0)
    if name:
        number /= value(after, name, label, is_pattern, text)
    return {"==": number == float(limit), "<": number < float(limit), ">": number > float(limit)}[comparison]


async def does_not_store(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start(spool_min_free=0)

    async def cause() -> None:
        await make_read_only(pool)

    return client, cause


async def refuses_events(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start(spool_min_free=1 << 50)

    async def cause() -> None:
        await make_read_only(pool)
        assert (await client.post("/event", json=EVENT)).status == 503

    return client, cause


async def spool_half_full(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start(spool_min_free=0, spool_max_bytes=1 << 20)

    async def cause() -> None:
        await make_read_only(pool)
        while client.app[OUTAGE].spool.size <= 1 << 19:
            assert (await client.post("/event", json=[EVENT] * 500)).status == 202

    return client, cause


async def dead_letters(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    return await start(), lambda: pool.execute(LETTER)


async def spool_damaged(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start()

    async def cause() -> None:
        (folder / "spool/room-7").mkdir()
        (folder / "spool/room-7/0000000000000001.seg").write_bytes(b"rubbish that no process of ours has written")
        await start()  # it finds the file in a slot that nobody holds

    return client, cause


async def not_listening(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start()
    await until(client.app[CHANNEL].listening.is_set)

    async def cause() -> None:
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'statsd-live listen' and datname = current_database()"
        )
        await until(lambda: not client.app[CHANNEL].listening.is_set())

    return client, cause


async def stream_silent(start: Start, folder: Path, pool: Any) -> tuple[Any, Callable[[], Awaitable[Any]]]:
    client = await start()
    assert (await client.post("/logins", json=LOGIN)).status == 201  # another stream

    async def cause() -> None:
        await pool.execute("insert into stream_moments values ('webhooks', $1)", datetime.now(UTC) - timedelta(hours=2))

    return client, cause


CAUSES = {
    "StatsdDoesNotStore": does_not_store, "StatsdRefusesEvents": refuses_events,
    "StatsdSpoolHalfFull": spool_half_full, "StatsdDeadLetters": dead_letters, "StatsdSpoolDamaged": spool_damaged,
    "StatsdNotListening": not_listening, "StatsdStreamSilent": stream_silent,
}  # fmt: skip


@pytest.mark.parametrize("alert", CAUSES)
async def test_rule_becomes_true_by_its_cause(alert: str, start: Start, folder: Path, pool: Any) -> None:
    client, cause = await CAUSES[alert](start, folder, pool)
    before = await samples(client)
    assert not holds(RULES[alert], before, before)
    await cause()

    async def is_true() -> bool:
        return holds(RULES[alert], before, await samples(client))

    await until(is_true)  # the probe writes once a second at most


@only_as_root
async def test_rule_becomes_true_when_the_disk_is_nearly_full(start: Start, folder: Path) -> None:
    with small_disk(folder / "small", "2m") as path:
        client = await start(data_dir=path)
        before = await samples(client)
        assert not holds(RULES["StatsdDiskNearlyFull"], before, before)
        fill_disk(path)
        assert holds(RULES["StatsdDiskNearlyFull"], before, await samples(client))
        await client.close()


def test_page_has_a_cause_for_each_of_its_eight_rules() -> None:
    assert {*CAUSES, "StatsdDiskNearlyFull"} == set(RULES)
    assert len(RULES) == 8
    assert not holds("a > 0", {}, {"a": [({}, math.nan)]})  # unknown is no alert
