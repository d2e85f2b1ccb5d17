"""The services that can post to `/webhook/{sender}` as they are. A further service is a further row.

A row says where a delivery has its type, user, time and id (`layout`), and how it is signed. Its secrets are the
setting `WEBHOOK_<NAME>_SECRET`.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statsd.errors import SettingsError
from statsd.settings import Settings
from statsd.streams.webhooks.layout import Layout
from statsd.streams.webhooks.signatures import Scheme


@dataclass(frozen=True, slots=True)
class Preset:
    """A service that sends webhooks."""

    layout: Layout
    scheme: Scheme
    challenge: tuple[str, str] | None = None
    """The `type` of a body that only asks whether anybody is there, and the field that is sent back."""

    def answer(self, body: Any) -> dict[str, str] | None:
        """Return the answer to a body that is a challenge, else None."""
        if not self.challenge or not isinstance(body, dict):
            return None
        kind, field = self.challenge
        text = body.get(field)
        return {field: text} if body.get("type") == kind and isinstance(text, str) else None


PRESETS: dict[str, Preset] = {
    # The form may also be `payload=` and JSON. An event has an action in some cases (`issues.opened`), and never a time
    # in a fixed place. A redelivery keeps its X-GitHub-Delivery.
    "github": Preset(
        Layout(
            type=("header:X-GitHub-Event+action", "header:X-GitHub-Event"),
            user=("sender.login", "pusher.name", "organization.login"),
            id=("header:X-GitHub-Delivery",),
        ),
        Scheme("X-Hub-Signature-256", prefix="sha256="),
    ),
    # `account` is there for connected accounts only. A retry may differ in `pending_webhooks`.
    "stripe": Preset(
        Layout(
            type=("type",),
            user=("data.object.customer", "data.object.customer.id", "account", "context"),
            time=("created",),
            id=("id",),
        ),
        Scheme("Stripe-Signature", prefix="v1=", separator=",", before_body="{timestamp}.", time_prefix="t="),
    ),
    # All deliveries of one event have its X-Shopify-Event-Id, also those of another topic.
    "shopify": Preset(
        Layout(
            type=("header:X-Shopify-Topic",),
            user=("customer.id", "header:X-Shopify-Shop-Domain"),
            time=("header:X-Shopify-Triggered-At",),
            id=("header:X-Shopify-Event-Id+header:X-Shopify-Topic", "header:X-Shopify-Webhook-Id"),
        ),
        Scheme("X-Shopify-Hmac-Sha256", encoding="base64"),
    ),
    # Events, and what people do with buttons and commands; those have an id that is only good for an answer.
    "slack": Preset(
        Layout(
            type=("event.type", "type", "command"),
            user=("event.user", "event.user.id", "event.message.user", "user.id", "user_id", "team_id"),
            time=("event_time", "action_ts", "actions.0.action_ts"),
            id=("event_id", "trigger_id"),
        ),
        Scheme(
            "X-Slack-Signature",
            prefix="v0=",
            before_body="v0:{timestamp}:",
            time_header="X-Slack-Request-Timestamp",
        ),
        challenge=("url_verification", "challenge"),
    ),
}


def setting(sender: str) -> str:
    """Return the name of the setting with a sender's secrets."""
    return f"WEBHOOK_{sender.upper()}_SECRET"


def keys(settings: Settings) -> dict[str, Sequence[bytes]]:
    """Return the keys of each sender that has secrets. Raises SettingsError for a secret of another form."""
    made: dict[str, Sequence[bytes]] = {}
    faults = []
    for sender, secrets in settings.sender_secrets.items():
        if sender in PRESETS:
            try:
                made[sender] = [PRESETS[sender].scheme.key(secret) for secret in secrets]
            except UnicodeError:
                faults.append(f"{setting(sender)}: must be UTF-8")
            except ValueError as error:
                faults.append(f"{setting(sender)}: {error}")
    if faults:
        raise SettingsError(faults)
    return made


def unknown(settings: Settings) -> list[str]:
    """Return a sentence for each secret of a sender that is none, with the most similar setting."""
    known = list(map(setting, PRESETS))
    sentences = []
    for name in map(setting, sorted({*settings.sender_secrets} - {*PRESETS})):
        near = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences
