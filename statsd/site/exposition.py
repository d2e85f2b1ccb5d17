"""The formats of `/metrics`: text 0.0.4 and 1.0.0, and OpenMetrics 1.0, whichever the Accept header prefers.

prometheus_client encodes them, but its own choice ignores weights (RFC 9110 §12.5.1), and trusts any version. None of
our names needs escaping, and with `dots` and `values` its OpenMetrics has samples whose names do not fit their family:
who asks for one of these gets the plain names, as `underscores`.
"""

import re
from collections.abc import Callable, Mapping

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"
VERSIONS = {OPENMETRICS: ("", "1.0.0"), TEXT: ("", "0.0.4", "1.0.0"), "text/*": ("",), "*/*": ("",)}
"""The ranges that are known, and their versions. Without one, text is 0.0.4: what every reader knows."""

Encode = Callable[[Collector], bytes]


def negotiated(accept: str) -> tuple[Encode, str]:
    """Return the encoder and the content type for an Accept header; text 0.0.4 if it names nothing that is known."""
    offers = [_offer(media_range) for media_range in accept.split(",")]
    _, best = max(offers, key=lambda offer: offer[0])  # of equals, the first
    return choose_encoder(best)


def _offer(media_range: str) -> tuple[float, str]:
    """Return the weight of a media range, and it as `choose_encoder` reads it; 0.0 if it is unknown."""
    media, *texts = (part.strip() for part in media_range.lower().split(";"))
    parameters = {name.strip(): value.strip().strip('"') for name, _, value in (text.partition("=") for text in texts)}
    version = parameters.get("version", "")
    if version not in VERSIONS.get(media, ()):
        return 0.0, ""
    if media not in (OPENMETRICS, TEXT) or not version:
        return _weight(parameters), media
    escaping = "allow-utf-8" if parameters.get("escaping") == "allow-utf-8" else "underscores"
    return _weight(parameters), f"{media};version={version};escaping={escaping}"


def _weight(parameters: Mapping[str, str]) -> float:
    text = parameters.get("q", "1")
    return float(text) if re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", text, re.ASCII) else 0.0
