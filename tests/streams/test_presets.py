"""`/webhook/{sender}`: deliveries as services send them, signed or not, each event once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from callers import make_token
from deliveries import EVENT, events, post, stats
from program import Program
from services import DELIVERIES, EVENTS, GITHUB, SECRETS, SHOPIFY, SLACK, STRIPE, deliver, signed
from waiting import PATIENCE_SECONDS, until

from statsd import settings
from statsd.errors import SettingsError
from statsd.ingest.outage import OUTAGE
from statsd.settings import FIELD_PATH
from statsd.streams.webhooks.layout import Layout
from statsd.streams.webhooks.presets import PRESETS, Preset, keys, setting
from statsd.streams.webhooks.signatures import STANDARD, Scheme

Start = Callable[..., Awaitable[Any]]
SENDERS = sorted(PRESETS)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALL_SECRETS = {sender: (secret,) for sender, secret in SECRETS.items()}


def test_table_is_data_that_the_settings_would_take() -> None:
    assert SENDERS == sorted(DELIVERIES) == ["github", "shopify", "slack", "stripe"]
    for sender, preset in PRESETS.items():
        assert settings.SENDER_SECRET.fullmatch(setting(sender))
        layout = preset.layout
        assert all(FIELD_PATH.fullmatch(path) for path in (*layout.type, *layout.user, *layout.time, *layout.id))


# What is stored


@pytest.mark.parametrize("sender", SENDERS)
async def test_signed_delivery_is_stored_once_though_sent_three_times(start: Start, sender: str) -> None:
    client = await start(sender_secrets=ALL_SECRETS)
    body = json.dumps(DELIVERIES[sender][0], indent=1).encode()
    answers = [await deliver(client, sender, body, signed(sender, body)) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    (stored,) = (await events(client))["events"]
    kind, user, timestamp = EVENTS[sender]
    assert (stored["eventType"], stored["userId"]) == (kind, user)
    assert stored["timestamp"] == (timestamp or stored["receivedAt"])
    assert stored["metadata"] == DELIVERIES[sender][0]
    assert stored["eventId"] == answers[0]["data"]["eventId"]


@pytest.mark.parametrize("sender", SENDERS)
async def test_forged_old_or_unsigned_delivery_is_401(start: Start, sender: str) -> None:
    client = await start(sender_secrets=ALL_SECRETS)
    body = json.dumps(DELIVERIES[sender][0]).encode()
    good = signed(sender, body)
    await deliver(client, sender, body, {}, 401)
    await deliver(client, sender, body, signed(sender, body, "another secret"), 401)
    await deliver(client, sender, body + b" ", good, 401)
    if sender in ("stripe", "slack"):
        for moment in (time.time() - 400, time.time() + 400):
            answer = await deliver(client, sender, body, signed(sender, body, moment=moment), 401)
            assert "it may differ by 300 seconds" in answer["error"]
    assert (await stats(client))["totalEvents"] == 0
    await deliver(client, sender, body, good)


async def test_old_and_new_secret_are_good_while_one_is_replaced(start: Start) -> None:
    loaded = settings.load(None, {"WEBHOOK_GITHUB_SECRET": " a new one, It's a Secret to Everybody "})
    client = await start(sender_secrets=loaded.sender_secrets)
    body = json.dumps(GITHUB).encode()
    for secret in ("a new one", "It's a Secret to Everybody"):
        await deliver(client, "github", body, signed("github", body, secret))
    for secret in ("a", "new", "It's", "a new one, It's a Secret to Everybody"):
        await deliver(client, "github", body, signed("github", body, secret), 401)


@pytest.mark.parametrize(
    ("sender", "change", "headers"),
    [
        ("stripe", {**STRIPE, "pending_webhooks": 0}, {}),
        ("slack", SLACK, {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}),
        ("slack", {**SLACK, "event_time": 1515449523}, {}),
        ("shopify", {**SHOPIFY, "total_price": "1.00"}, {"X-Shopify-Webhook-Id": "another"}),
        ("github", {**GITHUB, "action": "edited"}, {}),
    ],
)
async def test_other_body_under_a_known_id_is_a_repeat(
    client: Any, sender: str, change: dict[str, Any], headers: dict[str, str]
) -> None:
    first = await deliver(client, sender)
    assert await deliver(client, sender, change, headers) == first
    assert (await stats(client))["totalEvents"] == 1


async def test_retries_that_come_at_once_count_once(client: Any) -> None:
    retries = [deliver(client, "stripe", {**STRIPE, "pending_webhooks": number}) for number in range(20)]
    answers = await asyncio.gather(*retries)
    assert len({answer["data"]["eventId"] for answer in answers}) == 1
    assert (await stats(client))["totalEvents"] == 1


async def test_one_id_at_several_services_is_several_events(client: Any) -> None:
    await deliver(client, "github", headers={"X-GitHub-Delivery": "1"})
    await deliver(client, "stripe", {"id": "1", "type": "t"})
    await deliver(client, "stripe", {"id": 1, "type": "t"})
    await deliver(client, "slack", {"event_id": "1", "type": "t"})
    await post(client, EVENT, webhook_id="1")
    assert (await stats(client))["totalEvents"] == 4


async def test_one_event_of_a_shop_under_two_topics_is_two(client: Any) -> None:
    await deliver(client, "shopify")
    await deliver(client, "shopify", headers={"X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "2"})
    without = {"X-Shopify-Event-Id": "", "X-Shopify-Webhook-Id": "3"}
    for _ in range(2):
        await deliver(client, "shopify", headers=without)
    assert (await stats(client))["statistics"] == {"orders/create": 2, "orders/paid": 1}


@pytest.mark.parametrize(
    ("sender", "body", "headers", "event"),
    [
        ("github", {"zen": "Keep it logically awesome.", "hook_id": 1}, {"X-GitHub-Event": "ping"}, ("ping", "github")),
        ("github", {"ref": "refs/heads/main", "pusher": {"name": "ada"}}, {"X-GitHub-Event": "push"}, ("push", "ada")),
        ("github", {"action": "x"}, {"X-GitHub-Event": ""}, ("github", "github")),
        ("github", {"action": "y" * 2_000}, {"X-GitHub-Event": "x"}, ("x", "github")),
        ("stripe", {"type": "customer.created", "account": "acct_1"}, {}, ("customer.created", "acct_1")),
        ("stripe", {"type": "x", "data": {"object": {"customer": {"id": "cus_2"}}}}, {}, ("x", "cus_2")),
        ("stripe", {"type": 7, "data": [1]}, {}, ("stripe", "stripe")),
        ("shopify", {"id": 1}, {}, ("orders/create", "johns-apparel.myshopify.com")),
        ("slack", {"type": "block_actions", "user": {"id": "U1"}}, {}, ("block_actions", "U1")),
        ("slack", {"event": {"type": "team_join", "user": {"id": "U2"}}}, {}, ("team_join", "U2")),
    ],
)
async def test_what_is_missing_has_an_alternative(
    client: Any, sender: str, body: dict[str, Any], headers: dict[str, str], event: tuple[str, str]
) -> None:
    await deliver(client, sender, body, headers)
    (stored,) = (await events(client))["events"]
    assert (stored["eventType"], stored["userId"], stored["metadata"]) == (*event, body)


async def test_form_is_read_with_its_payload_or_as_its_fields(start: Start) -> None:
    client = await start(sender_secrets=ALL_SECRETS)
    for sender, body in (
        ("github", urlencode({"payload": json.dumps(GITHUB)}).encode()),
        ("slack", b"command=%2Fweather&text=a+b%26%E2%9C%93&user_id=U2&tag=1&tag=2&empty=&trigger_id=13345224609.738"),
    ):
        await deliver(client, sender, body, FORM | signed(sender, body))
    slack, github = (await events(client))["events"]
    assert (github["eventType"], github["userId"], github["metadata"]) == ("issues.opened", "hubot", GITHUB)
    assert (slack["eventType"], slack["userId"]) == ("/weather", "U2")
    assert slack["metadata"]["text"] == "a b&✓"
    assert (slack["metadata"]["tag"], slack["metadata"]["empty"]) == (["1", "2"], "")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"a=%ff", "UTF-8"),
        (b"a=\xff", "UTF-8"),
        (b"a&" * 1_001, "1000 fields"),
        (b"payload=%7B", "valid JSON"),
        (b"", "f"),
    ],
)
async def test_form_that_cannot_be_read_is_400(client: Any, body: bytes, says: str) -> None:
    answer = await deliver(client, "slack", body, FORM, 400)
    assert says in answer["errors"][0]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7", b"null", b"[]", b'"text"', b"[{}]"])
async def test_body_without_fields_is_400_and_counted(client: Any, body: bytes) -> None:
    assert (await deliver(client, "github", body, {}, 400))["success"] is False
    assert (await stats(client))["invalidEvents"] == 1


async def test_events_of_an_array_are_told_apart(client: Any) -> None:
    data = (await deliver(client, "github", [GITHUB, GITHUB]))["data"]
    assert (data["accepted"], len(set(data["eventIds"]))) == (2, 2)
    data = (await deliver(client, "stripe", [STRIPE, {"id": "evt_2", "type": "x"}, STRIPE]))["data"]
    assert (data["accepted"], data["duplicates"]) == (2, 1)


async def test_challenge_is_answered_and_not_stored(start: Start) -> None:
    client = await start(sender_secrets=ALL_SECRETS)
    body = json.dumps({"token": "J", "challenge": "3eZbrw1aB", "type": "url_verification"}).encode()
    await deliver(client, "slack", body, {}, 401)
    assert await deliver(client, "slack", body, signed("slack", body)) == {"challenge": "3eZbrw1aB"}
    body = json.dumps({"challenge": 7, "type": "url_verification"}).encode()
    await deliver(client, "slack", body, signed("slack", body))
    assert (await stats(client))["statistics"] == {"url_verification": 1}


async def test_large_and_deep_payload_is_reduced_and_stored(client: Any) -> None:
    deep: Any = "leaf"
    for _ in range(300):
        deep = {"in": deep}
    commits = [{"id": f"{n:040}", "message": "m" * 70_000, "author": {"name": "Ada"}} for n in range(40)]
    body = {"ref": "refs/heads/main", "commits": commits, "deep": deep, "nul": "a\0b", "sender": {"login": "ada"}}
    await deliver(client, "github", body, {"X-GitHub-Event": "push"})
    (stored,) = (await events(client))["events"]
    kept = stored["metadata"]
    assert (stored["userId"], kept["ref"], kept["nul"]) == ("ada", "refs/heads/main", "a\ufffdb")
    assert kept["commits"][0] == "…"
    assert len(kept["commits"]) == 21


# Who may send


async def test_unknown_sender_is_404_that_names_the_known_ones(client: Any) -> None:
    for sender in ("gitlab", "GitHub", "%C3%A9", "github%2F"):
        assert "github, shopify, slack, stripe" in (await deliver(client, sender, {"a": 1}, {}, 404))["error"]
    assert (await client.get("/webhook/github")).status == 405


@pytest.mark.parametrize(
    "guards",
    [
        {"webhook_api_key": "key-0123456789abcdef"},
        {"webhook_secrets": (bytes(32),)},
        {"require_ingest_token": ("webhooks",)},
    ],
)
async def test_without_its_secret_a_sender_is_guarded_as_webhook_is(start: Start, guards: dict[str, Any]) -> None:
    client = await start(sender_secrets={"stripe": (SECRETS["stripe"],)}, **guards)
    answer = await deliver(client, "github", status=401)
    assert ("require_ingest_token" in guards) or "WEBHOOK_GITHUB_SECRET" in answer["error"]
    body = json.dumps(STRIPE).encode()
    await deliver(client, "stripe", body, signed("stripe", body))  # its signature stands in
    await deliver(client, "stripe", body, {}, 401)
    if key := guards.get("webhook_api_key"):
        await deliver(client, "github", headers={"X-API-Key": key})


async def test_token_stands_in_place_of_the_signature(start: Start, pool: Any) -> None:
    client = await start(sender_secrets=ALL_SECRETS, require_ingest_token=("webhooks",))
    token, other = await make_token(pool, "ingest:webhooks"), await make_token(pool, "ingest:logins")
    await deliver(client, "github", headers=token)
    await deliver(client, "github", headers=other, status=403)
    await deliver(client, "github", headers={"Authorization": "Bearer stl_no"}, status=401)
    await post(client, EVENT, 401)


async def test_event_types_that_are_not_allowed_are_refused(start: Start) -> None:
    client = await start(webhook_event_types=("push", "issues.opened"), webhook_strict=True)
    await deliver(client, "github")
    (fault,) = (await deliver(client, "stripe", status=400))["errors"]
    assert (fault["field"], fault["type"]) == ("eventType", "any.only")


async def test_retry_during_an_outage_counts_once(start: Start, outside: Any) -> None:
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn)
    first = await deliver(client, "stripe")
    outside.stop()
    for pending in (1, 0):
        assert (await deliver(client, "stripe", {**STRIPE, "pending_webhooks": pending}))["data"]["eventId"] == (
            first["data"]["eventId"]
        )
        await deliver(client, "stripe", {**STRIPE, "id": "evt_2", "pending_webhooks": pending})
    outside.start()

    async def counted() -> bool:
        response = await client.get("/events/stats?filter=hour")
        return response.status == 200 and (await response.json())["data"]["statistics"] == {"invoice.paid": 2}

    await until(counted)
    assert not client.app[OUTAGE].away
    assert len((await events(client))["events"]) == 2


# A fifth preset


async def test_a_fifth_preset_is_a_row(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(
        type=("kind",), user=("who.name", "header:X-Acme-User"), time=("at",), id=("header:X-Acme-Id", "items.0.id")
    )
    scheme = Scheme(
        "X-Acme-Signature", prefix="v1=", separator=";", before_body="{timestamp}|", time_header="X-Acme-Time"
    )
    monkeypatch.setitem(PRESETS, "acme_inc", Preset(layout, scheme))
    secrets = settings.load(None, {"WEBHOOK_ACME_INC_SECRET": "s3cret"}).sender_secrets
    client = await start(sender_secrets=secrets)
    body, now = b'{"kind": "boom", "at": 1764239400123, "items": [{"id": 7}]}', str(int(time.time()))
    digest = scheme.signature(b"s3cret", body, timestamp=now).hex()
    good = {"X-Acme-Time": now, "X-Acme-User": "wile", "X-Acme-Signature": f"v1={'0' * 64};v1={digest}"}
    for _ in range(2):
        await deliver(client, "acme_inc", body, good)
    await deliver(client, "acme_inc", body, {**good, "X-Acme-Time": str(int(now) + 1)}, 401)
    (stored,) = (await events(client))["events"]
    assert (stored["eventType"], stored["userId"]) == ("boom", "wile")
    assert stored["timestamp"] == "2025-11-27T10:30:00.123Z"


def test_secret_of_another_form_than_its_scheme_needs_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "acme", Preset(Layout(), STANDARD))
    with pytest.raises(SettingsError, match="WEBHOOK_ACME_SECRET: must be whsec_"):
        keys(settings.load(None, {"WEBHOOK_ACME_SECRET": "no"}))


def test_secrets_are_read_from_every_source_and_never_shown() -> None:
    loaded = settings.load(None, {"WEBHOOK_STRIPE_SECRET": "geheim", "WEBHOOK_SLACK_SECRET": "", "WEBHOOK_SECRET": ""})
    assert loaded.sender_secrets == {"stripe": ("geheim",)}
    assert "geheim" not in repr(loaded)


async def test_start_warns_of_a_secret_without_a_sender(run: Any, database_url: str) -> None:
    program: Program = run("serve", "--port", "0", DATABASE_URL=database_url, WEBHOOK_GITHBU_SECRET="x" * 20)
    await program.address()
    assert "WEBHOOK_GITHBU_SECRET is not a setting; did you mean WEBHOOK_GITHUB_SECRET?" in program.stderr
    program.process.terminate()
    program.process.communicate(timeout=PATIENCE_SECONDS)
