"""Deliveries to `/webhook/{sender}` beside what the libraries of the services say of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import gidgethub.sansio
import pytest
import stripe
from services import DELIVERIES, SECRETS, deliver, signed
from slack_sdk.signature import SignatureVerifier

Start = Callable[..., Awaitable[Any]]
ALL_SECRETS = {sender: (secret,) for sender, secret in SECRETS.items()}


def check(sender: str, body: bytes, headers: dict[str, str], secret: str) -> None:
    """Check a delivery with the service's own library, or with GitHub's best known one. Raises its error."""
    match sender:
        case "github":
            gidgethub.sansio.validate_event(body, signature=headers["X-Hub-Signature-256"], secret=secret)
        case "stripe":
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
        case _:
            timestamp, signature = headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"]
            made = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
            assert made == signature
            assert SignatureVerifier(secret).is_valid(body, timestamp, signature)


@pytest.mark.parametrize("sender", ["github", "slack", "stripe"])
async def test_delivery_is_taken_if_the_library_of_the_service_takes_it(start: Start, sender: str) -> None:
    client = await start(sender_secrets=ALL_SECRETS)
    body = json.dumps(DELIVERIES[sender][0]).encode()
    good, forged = signed(sender, body), signed(sender, body, "another secret")
    check(sender, body, good, SECRETS[sender])
    await deliver(client, sender, body, good)
    for altered, headers in ((body, forged), (body.replace(b'"', b"'", 1), good)):
        with pytest.raises((AssertionError, gidgethub.ValidationFailure, stripe.SignatureVerificationError)):
            check(sender, altered, headers, SECRETS[sender])
        await deliver(client, sender, altered, headers, 401)
