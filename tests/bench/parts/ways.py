"""Every way in, one by one: rates, and what an event costs the server and PostgreSQL."""

from __future__ import annotations

import json

from ..contest import Contestant, compete, posting, ratios
from ..results import at_least
from ..run import Run
from ..server import Server, counter, processes, serving
from ..wrk import JSON, Target, singles

CONNECTIONS = 64
TRACK = 0.6
LOGIN = {
    "user_id": 7, "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox",
    "session_duration_seconds": 1800,
}  # fmt: skip
TABLES = {
    "/event": "page_events", "/track": "feature_clicks", "/webhook": "webhook_events", "/logins": "user_logins",
    "/items": "items",
}  # fmt: skip


async def bodies(server: Server) -> dict[str, list[str]]:
    base = await server.fetch("select id::text from base_items order by id limit 1")
    return {
        "/event": singles(),
        "/track": [json.dumps({"feature_name": f"feature-{n % 20}"}) for n in range(1_000)],
        "/webhook": [
            json.dumps({"eventType": f"type-{n % 12}", "userId": str(n), "metadata": {"page": "home"}})
            for n in range(1_000)
        ],
        "/logins": [json.dumps({**LOGIN, "user_id": n}) for n in range(1_000)],
        "/items": [json.dumps({"base_item_id": base})],
    }


async def measure(run: Run) -> None:
    async with serving(run.folder / "ways") as server:
        await server.run("seed", "--transfers")
        user = await server.log_in()
        contestants = [
            Contestant(
                f"POST {path}",
                posting(
                    Target(f"{server.address}{path}", each, {**JSON, **(user if path == "/track" else {})}, run.folder),
                    CONNECTIONS,
                ),
                processes(server),
                count=counter(server, TABLES[path]),
            )
            for path, each in (await bodies(server)).items()
        ]
        results = await compete(contestants, run.rounds, run.seconds(4))
        for contestant in contestants:
            run.cost(contestant, results[contestant.name])
        ratio = ratios(results["POST /track"], results["POST /event"])
        run.row("POST /track, of POST /event", ratio, aim=at_least(TRACK))
