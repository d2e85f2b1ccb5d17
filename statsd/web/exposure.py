"""What a server on a network lets anybody do, and which settings close it: one line at every start."""

from statsd.settings import WAYS_IN, Settings


def exposure(settings: Settings) -> str:
    """Return what anybody may do who reaches the server, each with the setting that closes it; empty if nothing."""
    doors = [*_reading(settings), *_sending(settings)]
    if settings.is_registration_open:
        doors.append("register (STATS_REGISTRATION=closed closes that)")
    if not doors:
        return ""
    line = f"anybody who reaches port {settings.port} of {settings.host} can {'; '.join(doors)}"
    if not settings.require_login and _webhooks_are_guarded(settings):
        line += ". Webhooks are guarded where they are sent, but not where they are read"
    return line


def _reading(settings: Settings) -> list[str]:
    if not settings.require_login:
        return [
            "read all statistics and events, IP addresses and user ids included (STATS_REQUIRE_LOGIN=true closes that)"
        ]
    return ["read /metrics (STATS_METRICS=login closes that)"] if settings.metrics == "open" else []


def _sending(settings: Settings) -> list[str]:
    is_guarded = _webhooks_are_guarded(settings)
    names = [name for name in WAYS_IN if name not in settings.require_ingest_token]
    if is_guarded and "webhooks" in names:
        names.remove("webhooks")
    if not names:
        return []
    closers = "STATS_REQUIRE_INGEST_TOKEN" + (
        "; for webhooks also WEBHOOK_API_KEY or WEBHOOK_SECRET" * ("webhooks" in names)
    )
    return [f"send {', '.join(names)} (closed by {closers})"]


def _webhooks_are_guarded(settings: Settings) -> bool:
    is_keyed = bool(settings.webhook_api_key or settings.webhook_secrets)
    return is_keyed or "webhooks" in settings.require_ingest_token
