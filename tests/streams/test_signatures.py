"""Standard Webhooks signatures: what is refused and why, and that a wrong one never passes."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from deliveries import sign
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from statsd.errors import BadRequest
from statsd.settings import webhook_secret
from statsd.streams.webhooks.signatures import STANDARD

# The example of the Standard Webhooks specification.
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
ID = "msg_loFOjxBNrRLzqYUf"
TIME = 1731705121
BODY = b'{"event_type":"ping","data":{"success":true}}'
SIGNATURE = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="

KEY = webhook_secret(SECRET)
OTHER = bytes(range(32))


def headers(**changes: str | None) -> CIMultiDictProxy[str]:
    values: dict[str, str | None] = {"webhook-id": ID, "webhook-timestamp": str(TIME), "webhook-signature": SIGNATURE}
    values |= {name.replace("_", "-"): value for name, value in changes.items()}
    return CIMultiDictProxy(CIMultiDict({name: value for name, value in values.items() if value is not None}))


def refusal(given: CIMultiDictProxy[str], body: bytes = BODY, now: float = TIME, secrets: Any = (KEY,)) -> str:
    with pytest.raises(BadRequest) as caught:
        STANDARD.verify(secrets, given, body, now)
    assert caught.value.status == 401
    return str(caught.value)


def test_example_of_the_specification_is_signed_and_verified() -> None:
    assert sign(KEY, ID, TIME, BODY) == SIGNATURE
    assert STANDARD.verify([KEY], headers(), BODY, TIME) == ID


def test_signature_of_the_standard_webhooks_sdk_passes_and_the_sdk_passes_ours() -> None:
    sdk, now = standardwebhooks.Webhook(SECRET), datetime.now(UTC)
    theirs = sdk.sign(ID, now, BODY.decode())
    assert theirs == sign(KEY, ID, int(now.timestamp()), BODY)
    signed = headers(webhook_timestamp=str(int(now.timestamp())), webhook_signature=theirs)
    assert STANDARD.verify([KEY], signed, BODY, now.timestamp()) == ID
    assert sdk.verify(BODY, dict(signed)) == json.loads(BODY)


def test_old_and_new_secret_are_good_while_one_is_replaced() -> None:
    assert STANDARD.verify([OTHER, KEY], headers(), BODY, TIME) == ID
    both = f"{sign(OTHER, ID, TIME, BODY)} {SIGNATURE} v1a,bm8="
    assert STANDARD.verify([KEY], headers(webhook_signature=both), BODY, TIME) == ID


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_either_way_are_tolerated(seconds: int) -> None:
    assert STANDARD.verify([KEY], headers(), BODY, TIME + seconds) == ID


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (headers(webhook_id=None), "webhook-id is missing"),
        (headers(webhook_timestamp=None), "webhook-timestamp is missing"),
        (headers(webhook_signature=None), "webhook-signature is missing"),
        (headers(webhook_signature=""), "webhook-signature is missing"),
        (headers(webhook_id=f"{ID}.{TIME}"), "full stop"),
        (headers(webhook_id="msg_\udcff"), "printable"),
        (headers(webhook_timestamp="soon"), "whole seconds"),
        (headers(webhook_timestamp="17317o5121"), "whole seconds"),
        (headers(webhook_timestamp="١٧٣١٧٠٥١٢١"), "whole seconds"),
        (headers(webhook_timestamp="-1"), "whole seconds"),
        (headers(webhook_timestamp="9" * 30), "whole seconds"),
        (headers(webhook_timestamp=str(TIME - 301)), "too old"),
        (headers(webhook_timestamp=str(TIME + 301)), "far in the future"),
        (headers(webhook_id="msg_another"), "does not match"),
        (headers(webhook_timestamp=str(TIME + 1)), "does not match"),
        (headers(webhook_signature=SIGNATURE.removeprefix("v1,")), "does not match"),
        (headers(webhook_signature=SIGNATURE.replace("v1,", "v2,")), "does not match"),
        (headers(webhook_signature="v1,not base64"), "does not match"),
        (headers(webhook_signature="v1,"), "does not match"),
        (headers(webhook_signature=SIGNATURE[:20]), "does not match"),
    ],
)
def test_wrong_header_is_refused_with_the_reason(given: CIMultiDictProxy[str], says: str) -> None:
    assert says in refusal(given)


def test_header_that_stands_twice_is_refused() -> None:
    twice = CIMultiDict(headers())
    twice.add("webhook-signature", SIGNATURE)
    assert "duplicate header" in refusal(CIMultiDictProxy(twice))


def test_of_more_signatures_than_anybody_sends_the_first_count() -> None:
    others = " ".join(f"v1,{base64.b64encode(bytes([number] * 32)).decode()}" for number in range(16))
    assert STANDARD.verify([KEY], headers(webhook_signature=f"{SIGNATURE} {others}"), BODY, TIME) == ID
    assert "does not match" in refusal(headers(webhook_signature=f"{others} {SIGNATURE}"))


def test_other_secret_is_refused() -> None:
    assert "does not match" in refusal(headers(), secrets=(OTHER,))


@given(st.binary(max_size=200))
def test_no_other_body_passes_under_a_signature(body: bytes) -> None:
    if body != BODY:
        assert "does not match" in refusal(headers(), body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "secret",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(b"short").decode(),
        SECRET[6:],
        "whsec_é",
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be whsec_") as caught:
        webhook_secret(text)
    assert not text or text == "whsec_" or text not in str(caught.value)
