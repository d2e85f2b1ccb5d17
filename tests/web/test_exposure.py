"""What a start beyond loopback says is open, and that it says nothing where nothing is."""

from __future__ import annotations

from typing import Any

import pytest
from program import Program

from statsd.settings import WAYS_IN, Settings
from statsd.web.exposure import exposure


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        (
            {},
            [
                "read all",
                "STATS_REQUIRE_LOGIN",
                "send logins, webhooks",
                "STATS_REQUIRE_INGEST_TOKEN",
                "WEBHOOK_SECRET",
            ],
            ["Webhooks are guarded"],
        ),
        ({"webhook_api_key": "k"}, ["send logins, transfers", "Webhooks are guarded"], ["WEBHOOK_API_KEY"]),
        ({"webhook_secrets": (b"k",)}, ["Webhooks are guarded where they are sent"], ["WEBHOOK_SECRET"]),
        ({"sender_secrets": {"github": ("k",)}}, ["send logins, webhooks"], ["Webhooks are guarded"]),
        ({"require_ingest_token": ("webhooks",)}, ["Webhooks are guarded", "logins"], ["send logins, webhooks"]),
        ({"require_login": True}, ["send logins"], ["read all", "register", "/metrics", "Webhooks are guarded"]),
        ({"require_login": True, "metrics": "open"}, ["read /metrics (STATS_METRICS"], ["read all"]),
    ],
)
def test_line_names_what_is_open_and_the_setting_that_closes_it(
    settings: dict[str, Any], said: list[str], unsaid: list[str]
) -> None:
    line = exposure(Settings(host="0.0.0.0", **settings))
    assert [words for words in said if words not in line] == []
    assert [words for words in unsaid if words in line] == []
    assert "\n" not in line


def test_nothing_is_said_where_nothing_is_open() -> None:
    assert exposure(Settings(require_login=True, require_ingest_token=WAYS_IN)) == ""


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_start_says_it_beyond_loopback(run: Any, database_url: str, host: str, warned: bool) -> None:
    program: Program = run("serve", "--port", "0", "--host", host, DATABASE_URL=database_url)
    await program.address()
    assert ("STATS_REQUIRE_LOGIN=true closes that" in program.stderr) is warned
