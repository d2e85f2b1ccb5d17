"""Who may post webhooks: whoever has the key (WEBHOOK_API_KEY) and signs (WEBHOOK_SECRET), each where it is set."""

from __future__ import annotations

import hmac
import time

from aiohttp import web

from statsd import cloudevents, signatures
from statsd.errors import BadRequest
from statsd.operation import Guard, Parameter
from statsd.settings import SETTINGS

KEY = "Where WEBHOOK_API_KEY is set; together with the signature, where that is asked for, too."
SIGNATURE = (
    "Where WEBHOOK_SECRET is set: a Standard Webhooks signature (`v1,` and base64) of webhook-id, webhook-timestamp and"
    " the body; together with the key, where that is asked for, too."
)
GUARDS = [
    Guard(name, {"type": "apiKey", "in": "header", "name": header, "description": about}, optional=True)
    for name, header, about in (("key", "X-API-Key", KEY), ("signature", "webhook-signature", SIGNATURE))
]
HEADERS = {"webhook-timestamp": Parameter(int, "when a delivery was signed, in seconds since 1970")}


def check_api_key(request: web.Request) -> None:
    """Raise BadRequest (401) for a request without the key, where one is asked for."""
    expected = request.app[SETTINGS].webhook_api_key
    given = request.headers.get("X-API-Key", "")
    if expected and not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode()):
        raise BadRequest(401, "Invalid or missing API key")


def signed_id(request: web.Request, body: bytes) -> str | None:
    """Return the id of a delivery that is signed as it must be; None where no signature is asked for.

    Raises BadRequest (401) that says what is wrong.
    """
    secrets = request.app[SETTINGS].webhook_secrets
    if not secrets:
        return None
    id = signatures.verify(secrets, request.headers, body, time.time())
    if cloudevents.is_binary(request.headers):
        raise signatures.refused("it does not cover ce-* headers: send the CloudEvent in structured mode")
    return id
