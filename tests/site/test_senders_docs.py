"""The page `/docs/senders.html`: its table is the table of presets, and what it shows works."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from deliveries import events, post
from folders import ROOT

from statsd import settings
from statsd.streams.webhooks.presets import PRESETS, setting

PAGE = (ROOT / "static/docs/senders.html").read_text()

Start = Callable[..., Awaitable[Any]]


def test_table_says_of_every_preset_what_its_row_says() -> None:
    table = PAGE[PAGE.index('<table id="table"') :].partition("</table>")[0]
    rows = {row[0][0]: row[1:] for row in map(cells, re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)) if row[0]}
    assert rows == {
        sender: [
            *map(list, (preset.layout.type, preset.layout.user, preset.layout.time, preset.layout.id)),
            [preset.scheme.header, setting(sender)],
        ]
        for sender, preset in PRESETS.items()
    }


def cells(row: str) -> list[list[str]]:
    """What stands as code in each cell of a row."""
    return [re.findall(r"<code>(.*?)</code>", cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)]


def shown(words: str) -> dict[str, str]:
    """The settings shown after these words."""
    lines = PAGE[PAGE.index(words) :].partition('<pre class="terminal">')[2].partition("</pre>")[0].splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


async def test_settings_for_sendgrid_read_its_array(start: Start) -> None:
    loaded = settings.load(None, shown("For SendGrid"))
    fields = ("webhook_type_from", "webhook_user_from", "webhook_time_from", "webhook_id_from")
    client = await start(**{field: getattr(loaded, field) for field in fields})
    body = [
        {"email": "a@example.com", "timestamp": 1513299569, "event": "processed", "sg_event_id": "sg1"},
        {"email": "b@example.com", "timestamp": 1513299570, "event": "click", "sg_event_id": "sg2", "url": "/"},
    ]
    assert (await post(client, body))["data"]["accepted"] == 2
    assert (await post(client, [body[1], {**body[0], "smtp-id": "x"}]))["data"]["duplicates"] == 2
    click, processed = sorted((await events(client))["events"], key=lambda event: str(event["eventType"]))
    assert (click["userId"], click["timestamp"]) == ("b@example.com", "2017-12-15T00:59:30.000Z")
    assert processed["metadata"] == body[0]


async def test_settings_for_twilio_read_its_form(start: Start) -> None:
    loaded = settings.load(None, shown("Twilio"))
    fields = ("webhook_type_from", "webhook_user_from", "webhook_id_from")
    client = await start(**{field: getattr(loaded, field) for field in fields})
    for status in ("sent", "delivered", "delivered"):
        body = f"MessageSid=SM1&MessageStatus={status}&To=%2B15558675310&From=%2B1555".encode()
        await post(client, body, Content_Type="application/x-www-form-urlencoded")
    stored = (await events(client))["events"]
    assert [(event["eventType"], event["userId"]) for event in stored] == [
        ("delivered", "+15558675310"),
        ("sent", "+15558675310"),
    ]
