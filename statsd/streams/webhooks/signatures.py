"""Signatures of deliveries: HMAC-SHA256 with a shared secret, in the forms that services send.

A `Scheme` says in which headers the signature and its time stand, how it is written, and which bytes are signed. All of
them end with the raw body. A signature with a time is valid for five minutes before and after it.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from multidict import CIMultiDictProxy

from statsd.errors import BadRequest
from statsd.settings import webhook_secret

TOLERANCE_SECONDS = 300
MOST_SIGNATURES = 16  # in one header: a sender makes one with each of its few secrets


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a service signs."""

    header: str
    """The header with the signature."""
    prefix: str = ""
    """What stands before a signature in the header, such as `sha256=`."""
    separator: str = ""
    """What stands between several signatures; empty: there is only one."""
    encoding: Literal["hex", "base64"] = "hex"
    before_body: str = ""
    """The signed text before the body, with `{id}` and `{timestamp}`."""
    id_header: str = ""
    """The header with the signed id."""
    time_header: str = ""
    """The header with the time of the signature, in seconds since 1970."""
    time_prefix: str = ""
    """Instead of a header: what stands before the time among the signatures, such as `t=`."""
    key: Callable[[str], bytes] = str.encode
    """Makes the key of a secret. Raises ValueError with the right form."""

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that a signed delivery has."""
        return tuple(filter(None, (self.id_header, self.time_header, self.header)))

    def verify(self, keys: Sequence[bytes], headers: CIMultiDictProxy[str], body: bytes, now: float) -> str:
        """Return the signed id of a delivery (empty: the scheme has none). `now` is in seconds since 1970.

        Raises BadRequest (401) that says what is wrong. The time is checked first, so that no signature is computed for
        an old delivery.
        """
        values = {name: _only(headers, name) for name in self.headers}
        header = values[self.header]
        parts = [part.strip() for part in header.split(self.separator)] if self.separator else [header]
        id, timestamp = values.get(self.id_header, ""), self._timestamp(values, parts)
        if "." in id:  # it separates the signed parts: the signature would also fit another split of them
            raise invalid(f"{self.id_header} must not hold a full stop")
        if not id.isprintable():  # aiohttp keeps bytes that are not UTF-8 as surrogates
            raise invalid(f"{self.id_header} must be printable text")
        if timestamp is not None:
            self._check_time(timestamp, now)
        texts = [part.removeprefix(self.prefix) for part in parts if part.startswith(self.prefix)]
        received = [self._decoded(text) for text in texts[:MOST_SIGNATURES]]
        expected = [self.signature(key, body, id, timestamp or "") for key in keys]
        # Every pair is compared, so that the time taken does not reveal which signature matches.
        matches = [hmac.compare_digest(one, digest) for one in received for digest in expected]
        if not any(matches):
            signed = [name for name, value in (("id", self.id_header), ("timestamp", timestamp)) if value]
            what = f"the {', the '.join(signed)} and the body" if signed else "the body"
            raise invalid(f"{self.header} does not match {what}")
        return id

    def signature(self, key: bytes, body: bytes, id: str = "", timestamp: str = "") -> bytes:
        """Return the signature of a delivery, as it is before it is encoded."""
        return hmac.digest(key, self.before_body.format(id=id, timestamp=timestamp).encode() + body, "sha256")

    def _timestamp(self, values: dict[str, str], parts: Sequence[str]) -> str | None:
        """Return the text of the signature's time; None if the scheme has none."""
        if self.time_header:
            return values[self.time_header]
        if not self.time_prefix:
            return None
        times = [part.removeprefix(self.time_prefix) for part in parts if part.startswith(self.time_prefix)]
        return times[0] if len(times) == 1 else ""

    def _check_time(self, timestamp: str, now: float) -> None:
        name = self.time_header or f"{self.time_prefix.rstrip('=')} of {self.header}"
        if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII):
            raise invalid(f"{name} must be whole seconds since 1970")
        if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
            age = "old" if int(timestamp) < now else "far in the future"
            raise invalid(f"{name} is too {age}: it may differ by {TOLERANCE_SECONDS} seconds from our clock")

    def _decoded(self, text: str) -> bytes:
        try:
            if self.encoding == "hex":
                return binascii.unhexlify(text)
            return base64.b64decode(text.encode(), validate=True)
        except ValueError:
            return b""


STANDARD = Scheme(
    header="webhook-signature",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    before_body="{id}.{timestamp}.",
    id_header="webhook-id",
    time_header="webhook-timestamp",
    key=webhook_secret,
)
"""Standard Webhooks, symmetric scheme `v1`."""


def invalid(reason: str) -> BadRequest:
    """Return the error (401) for a delivery with an invalid signature."""
    return BadRequest(401, f"Invalid webhook signature: {reason}")


def _only(headers: CIMultiDictProxy[str], name: str) -> str:
    values = headers.getall(name, [])
    if not values or not values[0]:
        raise invalid(f"the header {name} is missing")
    if len(values) > 1:
        raise invalid(f"duplicate header {name}")
    return values[0]
