"""The audit: it finds what is lost, what is doubled, and a wrong total."""

from __future__ import annotations

from typing import Any

from statsd.prove.audit import Finding, audit
from statsd.prove.ledger import Ledger
from statsd.prove.load import Client, Load, login
from statsd.streams import STREAMS


async def loaded(client: Any) -> Ledger:
    """Let the clients send for a moment."""
    load = Load([str(client.make_url("")).rstrip("/")])
    await load.prepare()
    async with load.running() as ledger:
        while len(ledger.accounts) < len(STREAMS) or ledger.acknowledged < 300:
            await client.get("/livez")
    return ledger


async def found(pool: Any, ledger: Ledger) -> dict[str, Finding]:
    async with pool.acquire() as connection:
        return {finding.stream: finding for finding in await audit(connection, ledger)}


async def test_load_uses_every_stream_and_all_of_it_is_found(client: Any, pool: Any) -> None:
    findings = await found(pool, await loaded(client))
    assert [finding for finding in findings.values() if not finding.is_right] == []
    assert all(0 < finding.acknowledged == finding.stored <= finding.tried for finding in findings.values())


async def test_lost_doubled_and_wrongly_counted_events_are_found(client: Any, pool: Any) -> None:
    ledger = await loaded(client)
    await pool.execute("delete from user_logins where id = (select max(id::text)::uuid from user_logins)")
    await pool.execute("""
        insert into webhook_events (event_type, user_id, metadata)
        select event_type, user_id, metadata from webhook_events limit 1
    """)
    await pool.execute("update usage_features set clicks = clicks + 1")
    await pool.execute("""
        delete from transfers where id = (select max(id::text)::uuid from transfers)
    """)
    findings = await found(pool, ledger)
    assert (findings["logins"].lost, findings["webhooks"].doubled, findings["transfers"].lost) == (1, 1, 1)
    assert {difference.table for difference in findings["usage"].differences} == {"usage_features"}
    assert findings["pageviews"].is_right
    assert findings["items"].is_right


def test_no_two_events_of_a_process_have_the_same_mark() -> None:
    clients = [Client(login, [], Ledger()) for _ in range(3)]
    marks = [client_.next_event() for client_ in clients for _ in range(3)]
    assert len(set(marks)) == 9
