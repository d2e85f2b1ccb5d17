"""Signatures of services: published examples, and what the services' own libraries made and check."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from statsd.errors import BadRequest
from statsd.streams.webhooks.presets import PRESETS

COMMAND = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
INVOICE = b'{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","type":"invoice.paid","created":1686089970}'
CALLBACK = b'{"type":"event_callback","event_id":"Ev0PV52K25","event":{"type":"app_mention"}}'
STRIPE = "fd7cdeba05c6cde4c2d9b81bad6c90dbb0d239e8cb91d450dedaa2a1d80c0413"

VECTORS: dict[str, tuple[str, str, bytes, int, dict[str, str]]] = {
    # GitHub's documentation, "Validating webhook deliveries"; @octokit/webhooks-methods and gidgethub agree.
    "github": ("github", "It's a Secret to Everybody", b"Hello, World!", 0, {
        "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }),
    # Slack's documentation, "Verifying requests from Slack".
    "slack": ("slack", "8f742231b10e8888abcd99yyyzzz85a5", COMMAND, 1531420618, {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }),
    # slack_sdk 3.48: SignatureVerifier(secret).generate_signature(timestamp=…, body=…).
    "slack_sdk": ("slack", "8f742231b10e8888abcd99yyyzzz85a5", CALLBACK, 1531420618, {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=51e559c8f69dbc112b62c052b93742bdeab898e82696eca1e21e6f15740bb32d",
    }),
    # stripe 16.1: WebhookSignature._compute_signature(f"{timestamp}.{body}", secret).
    "stripe": ("stripe", "whsec_test_secret", INVOICE, 1686089975, {
        "Stripe-Signature": f"t=1686089975,v1={STRIPE}",
    }),
    "stripe while a secret is replaced": ("stripe", "whsec_test_secret", INVOICE, 1686089975, {
        "Stripe-Signature": f"t=1686089975,v1={'0' * 64},v1={STRIPE},v0={'1' * 64}",
    }),
    "stripe with spaces": ("stripe", "whsec_test_secret", INVOICE, 1686089975, {
        "Stripe-Signature": f"t=1686089975, v1={STRIPE}",
    }),
    # printf %s '{"id":820982911946154508}' | openssl dgst -sha256 -hmac hush -binary | base64
    # @shopify/shopify-api 13.1 takes it (`webhooks.validate`), and calls any other `invalid_hmac`.
    "shopify": ("shopify", "hush", b'{"id":820982911946154508}', 0, {
        "X-Shopify-Hmac-Sha256": "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=",
    }),
}  # fmt: skip


def verify(name: str, seconds: float = 0, body: bytes | None = None, **changes: str) -> None:
    sender, secret, signed, moment, headers = VECTORS[name]
    scheme = PRESETS[sender].scheme
    sent = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    proxy = CIMultiDictProxy(CIMultiDict({name: value for name, value in sent.items() if value}))
    scheme.verify([b"another", scheme.key(secret)], proxy, signed if body is None else body, moment + seconds)


@pytest.mark.parametrize("name", VECTORS)
def test_published_signature_is_good_for_its_body_alone(name: str) -> None:
    verify(name)
    verify(name, 300)
    with pytest.raises(BadRequest, match="does not match"):
        verify(name, body=VECTORS[name][2] + b"\n")


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if vector[3]])
def test_published_signature_is_good_for_five_minutes(name: str) -> None:
    for seconds, says in ((301, "too old"), (-301, "far in the future")):
        with pytest.raises(BadRequest, match=says) as caught:
            verify(name, seconds)
        assert caught.value.status == 401


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("github", {"X_Hub_Signature_256": ""}, "the header X-Hub-Signature-256 is missing"),
        ("github", {"X_Hub_Signature_256": "757107ea0eb2509fc211221cce984b8a37570b6d"}, "does not match the body"),
        ("github", {"X_Hub_Signature_256": "sha256=no hex"}, "does not match the body"),
        ("github", {"X_Hub_Signature_256": "sha1=757107ea"}, "does not match the body"),
        ("github", {"X_Hub_Signature_256": "sha256="}, "does not match the body"),
        ("shopify", {"X_Shopify_Hmac_Sha256": "bm8="}, "does not match the body"),
        ("stripe", {"Stripe_Signature": f"v1={STRIPE}"}, "t of Stripe-Signature must be whole seconds"),
        ("stripe", {"Stripe_Signature": f"t=1,t=1686089975,v1={STRIPE}"}, "t of Stripe-Signature must be whole"),
        ("stripe", {"Stripe_Signature": f"t=1686089976,v1={STRIPE}"}, "does not match the timestamp and the body"),
        ("stripe", {"Stripe_Signature": f"t=1686089975,v0={STRIPE}"}, "does not match"),
        ("stripe", {"Stripe_Signature": "t=1686089975," + "v1=00," * 16 + f"v1={STRIPE}"}, "does not match"),
        ("slack", {"X_Slack_Request_Timestamp": "1531420618.0"}, "X-Slack-Request-Timestamp must be whole seconds"),
        ("slack", {"X_Slack_Request_Timestamp": "1531420619"}, "does not match the timestamp and the body"),
    ],
)  # fmt: skip
def test_wrong_header_is_refused_with_the_reason(name: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says) as caught:
        verify(name, **changes)
    assert caught.value.status == 401
