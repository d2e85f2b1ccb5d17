"""Authentication of senders: the API key (WEBHOOK_API_KEY) and signatures (WEBHOOK_SECRET), if these are set.

An API token with the scope `ingest:webhooks` stands in place of both.

Signatures follow the Standard Webhooks specification (symmetric scheme `v1`): the sender signs
`webhook-id.webhook-timestamp.body` with HMAC-SHA256 and a shared secret. A signature is valid for five minutes before
and after its timestamp. To replace a secret, both the old and the new one may be configured for a while.
"""

import base64
import hmac
import re
import time
from collections.abc import Sequence

from aiohttp import web
from multidict import CIMultiDictProxy

from statsd.accounts import access
from statsd.errors import BadRequest
from statsd.streams.webhooks import cloudevents
from statsd.web import SETTINGS
from statsd.web.operation import Guard, Parameter

TOLERANCE_SECONDS = 300
NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
MOST_SIGNATURES = 16  # in one header: a sender makes one with each of its few secrets

KEY = "Required if WEBHOOK_API_KEY is set, in addition to a signature if WEBHOOK_SECRET is set, unless a token is sent."
SIGNATURE = (
    "Required if WEBHOOK_SECRET is set, in addition to the key if WEBHOOK_API_KEY is set: a Standard Webhooks signature"
    " (`v1,` and base64) of webhook-id, webhook-timestamp and the body."
)
GUARDS = [
    Guard(name, {"type": "apiKey", "in": "header", "name": header, "description": about})
    for name, header, about in (("key", "X-API-Key", KEY), ("signature", "webhook-signature", SIGNATURE))
]
HEADERS = {"webhook-timestamp": Parameter(str, "the time of the signature, in seconds since 1970")}


async def has_token(request: web.Request) -> bool:
    """Whether the request has an API token for webhooks, where a key or a signature is required.

    Raises what `access.has_ingest_token` raises.
    """
    settings = request.app[SETTINGS]
    is_guarded = bool(settings.webhook_api_key or settings.webhook_secrets)
    return is_guarded and await access.has_ingest_token(request, "webhooks")


def check_api_key(request: web.Request) -> None:
    """Raise BadRequest (401) for a request without the key that WEBHOOK_API_KEY requires."""
    expected = request.app[SETTINGS].webhook_api_key
    key = request.headers.get("X-API-Key", "")
    if expected and not hmac.compare_digest(key.encode("utf-8", "surrogateescape"), expected.encode()):
        raise BadRequest(401, "Invalid or missing API key")


def signed_id(request: web.Request, body: bytes) -> str | None:
    """Return the id of a signed delivery; None if no signature is required.

    Raises BadRequest (401) that says what is wrong with the signature.
    """
    secrets = request.app[SETTINGS].webhook_secrets
    if not secrets:
        return None
    id = verify(secrets, request.headers, body, time.time())
    if cloudevents.is_binary(request.headers):
        raise _invalid("it does not cover ce-* headers: send the CloudEvent in structured mode")
    return id


def verify(secrets: Sequence[bytes], headers: CIMultiDictProxy[str], body: bytes, now: float) -> str:
    """Return the id of a message signed with one of the secrets. Raises BadRequest (401) that says what is wrong.

    `now` is in seconds since 1970. The time is checked first, so that no signature is computed for an old message.
    """
    id, timestamp, signatures = (_only(headers, name) for name in NAMES)
    if "." in id:  # it separates the signed parts: the signature would also fit another split of them
        raise _invalid("webhook-id must not hold a full stop")
    if not id.isprintable():  # aiohttp keeps bytes that are not UTF-8 as surrogates
        raise _invalid("webhook-id must be printable text")
    if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII):
        raise _invalid("webhook-timestamp must be whole seconds since 1970")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        age = "old" if int(timestamp) < now else "far in the future"
        raise _invalid(f"webhook-timestamp is too {age}: it may differ by {TOLERANCE_SECONDS} seconds from our clock")
    texts = [text.removeprefix("v1,") for text in signatures.split(" ") if text.startswith("v1,")]
    received = [_decoded(text) for text in texts[:MOST_SIGNATURES]]
    expected = [signature(key, id, timestamp, body) for key in secrets]
    # Every pair is compared, so that the time taken does not reveal which signature matches.
    matches = [hmac.compare_digest(one, digest) for one in received for digest in expected]
    if not any(matches):
        raise _invalid("webhook-signature does not match the id, the timestamp and the body")
    return id


def signature(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature of a message, as it is before base64."""
    return hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")


def _only(headers: CIMultiDictProxy[str], name: str) -> str:
    values = headers.getall(name, [])
    if not values or not values[0]:
        raise _invalid(f"the header {name} is missing")
    if len(values) > 1:
        raise _invalid(f"duplicate header {name}")
    return values[0]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except ValueError:
        return b""


def _invalid(reason: str) -> BadRequest:
    """Return the error (401) for a message with an invalid signature."""
    return BadRequest(401, f"Invalid webhook signature: {reason}")
