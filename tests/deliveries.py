"""Webhook events: how they are delivered and read over HTTP."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

EVENT = {
    "eventType": "page_view",
    "userId": "123",
    "timestamp": "2024-01-01T12:00:00Z",
    "metadata": {"page": "home"},
}
CLOUD = {"specversion": "1.0", "id": "A-1", "source": "/shop", "type": "com.example.order", "subject": "42"}


async def post(client: Any, body: object, status: int = 200, /, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
    response = await client.post("/webhook", data=raw, headers={"Content-Type": "application/json", **named})
    answer: dict[str, Any] = await response.json()
    assert response.status == status, answer
    return answer


async def stats(client: Any, name: str = "hour") -> dict[str, Any]:
    answer: dict[str, Any] = await (await client.get(f"/events/stats?filter={name}")).json()
    return dict(answer["data"])


async def events(client: Any, query: str = "filter=hour") -> dict[str, Any]:
    response = await client.get(f"/events?{query}")
    assert response.status == 200, await response.text()
    return dict((await response.json())["data"])


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of a message, as a sender makes it."""
    return f"v1,{base64.b64encode(hmac.digest(key, f'{id}.{timestamp}.'.encode() + body, 'sha256')).decode()}"
