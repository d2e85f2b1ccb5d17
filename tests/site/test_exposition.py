"""The formats of `/metrics`: what real scrapers ask for, and what parsers of each format read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from statsd.site.exposition import negotiated

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
PLAIN_1 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Start = Callable[..., Awaitable[Any]]

ASKED = {
    "no header": ("", PLAIN),
    "curl": ("*/*", PLAIN),
    "a browser": ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", PLAIN),
    "prometheus/common without OpenMetrics, such as Kuma's": ("text/plain;version=0.0.4", PLAIN),
    "prometheus/common 0.4 to 0.6, and Prometheus 1": (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
        "text/plain;version=0.0.4;q=0.3",
        PLAIN,
    ),
    "Prometheus 2, Grafana Agent, VictoriaMetrics' vmagent in that mode": (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        f"{OPEN}; escaping=underscores",
    ),
    "Prometheus 2 before OpenMetrics 1.0": (
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        PLAIN,
    ),
    "Prometheus 3": (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,/;q=0.1",
        f"{OPEN}; escaping=allow-utf-8",
    ),
    "Prometheus 3 that prefers text": (
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.1",
        f"{PLAIN_1}allow-utf-8",
    ),
    "protobuf first": (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
        "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,text/plain;version=0.0.4;q=0.3",
        f"{OPEN}; escaping=underscores",
    ),
    "weights against the order": ("application/openmetrics-text;version=1.0.0;q=0.1, text/plain;version=0.0.4", PLAIN),
    "nothing of weight zero": ("application/openmetrics-text;q=0, text/plain;version=1.0.0", f"{PLAIN_1}underscores"),
    "OpenMetrics without a version": ("application/openmetrics-text", OPEN),
    "a version of the future": ("application/openmetrics-text;version=2.0.0,text/plain;version=9;q=0.9", PLAIN),
    "no version": ("application/openmetrics-text;version=x.y;q=z", PLAIN),
    "other letters, spaces, quotes": (
        'Application/OpenMetrics-Text ; Version="1.0.0" ; Q=0.9, */*;q=0.1',
        f"{OPEN}; escaping=underscores",
    ),
    "nothing that there is": ("application/json", PLAIN),
}


@pytest.mark.parametrize(("accept", "content_type"), ASKED.values(), ids=ASKED)
def test_format_is_the_one_that_is_asked_for(accept: str, content_type: str) -> None:
    assert negotiated(accept)[1] == content_type


@pytest.mark.parametrize("media", ["text/plain", "application/openmetrics-text"])
@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8", "dots", "values", "unknown"])
async def test_names_are_the_same_with_every_escaping(client: Any, media: str, escaping: str) -> None:
    """Prometheus asks for `values` or `dots` where its configuration says so."""
    assert (await client.get("/livez")).status == 200
    response = await client.get("/metrics", headers={"Accept": f"{media};version=1.0.0;escaping={escaping}"})
    text = await response.text()
    is_open = response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert is_open == (media != "text/plain")
    parse = openmetrics.text_string_to_metric_families if is_open else text_string_to_metric_families
    names = {sample.name for family in parse(text) for sample in family.samples}
    assert {"statsd_request_seconds_sum", "statsd_database_up"} <= names
    assert not [name for name in names if "__" in name]


@pytest.mark.parametrize("accept", [PLAIN, f"{PLAIN_1}allow-utf-8", OPEN])
async def test_answer_is_read_by_the_parser_of_its_format(client: Any, accept: str) -> None:
    login = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
    assert (await client.post("/logins", json=login)).status == 201
    response = await client.get("/metrics", headers={"Accept": accept.removesuffix("; charset=utf-8")})
    text = await response.text()
    is_open = accept == OPEN
    assert response.headers["Content-Type"].startswith(accept)
    assert text.endswith("# EOF\n") == is_open
    parse = openmetrics.text_string_to_metric_families if is_open else text_string_to_metric_families
    families = {family.name: family for family in parse(text)}
    assert families["statsd_events"].type == "counter"
    assert families["statsd_request_seconds"].type == "histogram"
    assert {family.type for family in families.values()} <= {"counter", "gauge", "histogram", "info"}
    names = [sample.name for family in families.values() for sample in family.samples]
    assert not [name for name in names if name.endswith("_created")]


async def test_two_headers_are_one_list(client: Any) -> None:
    headers = [("Accept", "text/plain;version=0.0.4;q=0.5"), ("Accept", "application/openmetrics-text")]
    assert (await client.get("/metrics", headers=headers)).headers["Content-Type"] == OPEN


async def test_age_of_the_latest_event_is_left_out_while_nobody_knows_it(
    start: Start, outside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server stored it, and the database that tells so is away."""
    monkeypatch.setattr("statsd.site.readings.CHECK_SECONDS", 1.0)
    connection = await outside.ready()
    client = await start(database_url=outside.dsn)
    await connection.execute("insert into stream_moments values ('logins', now() - interval '1 hour')")
    await connection.close()

    async def is_told() -> bool:
        return 'statsd_last_stored_seconds{stream="logins"}' in await (await client.get("/metrics")).text()

    await until(is_told)
    outside.stop()
    text = await (await client.get("/metrics")).text()
    assert 'statsd_last_stored_seconds{stream="logins"}' not in text
    assert "statsd_database_up 0.0" in text
