"""Authentication of senders: the API key (WEBHOOK_API_KEY) and signatures (WEBHOOK_SECRET), if these are set.

An API token with the scope `ingest:webhooks` stands in place of both.

Signatures follow the Standard Webhooks specification (symmetric scheme `v1`): the sender signs
`webhook-id.webhook-timestamp.body` with HMAC-SHA256 and a shared secret. To replace a secret, both the old and the new
one may be configured for a while.
"""

import hmac
import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from statsd.accounts import access
from statsd.errors import BadRequest
from statsd.streams.webhooks import cloudevents
from statsd.streams.webhooks.signatures import STANDARD, invalid
from statsd.web import SETTINGS
from statsd.web.operation import Guard, Parameter

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


KEYS: web.AppKey[Mapping[str, Sequence[bytes]]] = web.AppKey("sender_keys")
"""The keys of each preset that has a secret."""


async def has_token(request: web.Request) -> bool:
    """Whether the request has an API token for webhooks, where a key or a signature is required.

    Raises what `access.has_ingest_token` raises.
    """
    settings = request.app[SETTINGS]
    is_guarded = bool(settings.webhook_api_key or settings.webhook_secrets)
    return is_guarded and await access.has_ingest_token(request, "webhooks")


def is_signed(request: web.Request) -> bool:
    """Whether the sender in the path has a secret, so that its deliveries must have its signature."""
    return request.match_info["sender"] in request.app[KEYS]


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
    id = STANDARD.verify(secrets, request.headers, body, time.time())
    if cloudevents.is_binary(request.headers):
        raise invalid("it does not cover ce-* headers: send the CloudEvent in structured mode")
    return id


def signature(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature of a message, as it is before base64."""
    return STANDARD.signature(key, body, id, timestamp)
