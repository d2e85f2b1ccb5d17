"""Deliveries of services in their published forms, signed as each of them signs."""

from __future__ import annotations

import base64
import hmac
import io
import json
import time
from typing import Any

from multidict import CIMultiDict

SECRETS = {
    "github": "It's a Secret to Everybody",
    "stripe": "whsec_9f0a",
    "shopify": "hush",
    "slack": "8f742231b10e8888",
}

GITHUB = {
    "action": "opened",
    "issue": {"number": 1347, "title": "Found a bug", "user": {"login": "octocat"}, "labels": []},
    "repository": {"id": 1296269, "full_name": "octocat/Hello-World", "private": False},
    "sender": {"login": "hubot", "id": 2},
}
STRIPE = {
    "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
    "object": "event",
    "api_version": "2024-06-20",
    "created": 1686089970,
    "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_9s6XKzkNRiz8i3", "amount_paid": 2000}},
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": None, "idempotency_key": None},
    "type": "invoice.paid",
}
SHOPIFY = {"id": 820982911946154508, "email": "jon@example.com", "total_price": "199.00", "customer": {"id": 115310627}}
SLACK = {
    "token": "XXYYZZ",
    "team_id": "T123ABC456",
    "api_app_id": "A123ABC456",
    "event": {"type": "app_mention", "user": "U061F7AUR", "text": "hello", "ts": "1515449522.000016"},
    "type": "event_callback",
    "event_id": "Ev123ABC456",
    "event_time": 1515449522,
}
DELIVERIES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "github": (GITHUB, {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}),
    "stripe": (STRIPE, {}),
    "shopify": (
        SHOPIFY,
        {
            "X-Shopify-Topic": "orders/create",
            "X-Shopify-Shop-Domain": "johns-apparel.myshopify.com",
            "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "X-Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
            "X-Shopify-Triggered-At": "2023-03-29T18:00:27.877041743Z",
        },
    ),
    "slack": (SLACK, {}),
}
"""The payload and the headers of each service."""

EVENTS = {
    "github": ("issues.opened", "hubot", None),
    "stripe": ("invoice.paid", "cus_9s6XKzkNRiz8i3", "2023-06-06T22:19:30.000Z"),
    "shopify": ("orders/create", "115310627", "2023-03-29T18:00:27.877Z"),
    "slack": ("app_mention", "U061F7AUR", "2018-01-08T22:12:02.000Z"),
}
"""The type, the user and the time of the event in each delivery; None: the time of receipt."""


def signed(sender: str, body: bytes, secret: str = "", moment: float | None = None) -> dict[str, str]:
    """Return the headers with a service's signature."""
    key, at = (secret or SECRETS[sender]).encode(), str(int(time.time() if moment is None else moment))
    match sender:
        case "github":
            return {"X-Hub-Signature-256": f"sha256={hmac.new(key, body, 'sha256').hexdigest()}"}
        case "stripe":
            digest = hmac.new(key, f"{at}.".encode() + body, "sha256").hexdigest()
            return {"Stripe-Signature": f"t={at},v1={digest},v0={'0' * 64}"}
        case "shopify":
            return {"X-Shopify-Hmac-Sha256": base64.b64encode(hmac.digest(key, body, "sha256")).decode()}
        case _:
            digest = hmac.new(key, f"v0:{at}:".encode() + body, "sha256").hexdigest()
            return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={digest}"}


async def deliver(
    client: Any, sender: str, body: Any = None, headers: dict[str, str] | None = None, status: int = 200
) -> dict[str, Any]:
    """Post a delivery to its sender's address; by default the published one, with headers in place of its own."""
    payload, own = DELIVERIES.get(sender, ({}, {}))
    raw = body if isinstance(body, bytes) else json.dumps(payload if body is None else body).encode()
    sent = CIMultiDict({"Content-Type": "application/json", **own})
    sent.update(headers or {})
    response = await client.post(f"/webhook/{sender}", data=io.BytesIO(raw), headers=sent)
    answer: dict[str, Any] = await response.json()
    assert response.status == status, answer
    return answer
