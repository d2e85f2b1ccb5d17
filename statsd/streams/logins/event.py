"""A login: what a client sends, and the row it becomes."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from statsd.stream import Row
from statsd.web.addresses import cut
from statsd.web.decode import Decoder, When, label, text
from statsd.web.times import INSTANT_RULE, LAST_INSTANT, utc

LONGEST_SESSION = 315_576_000  # ten years, in seconds
LONGEST = timedelta(seconds=LONGEST_SESSION)

Whole = msgspec.Meta(ge=-(2**31), le=2**31 - 1, description="an integer of 32 bits")
Seconds = msgspec.Meta(ge=0, le=LONGEST_SESSION, description=f"an integer from 0 to {LONGEST_SESSION} (seconds)")
BROWSER_CHARACTERS = 512  # a name, or a user agent: those of browsers inside apps have 250 to 500
DEVICES = {"desktop": "Desktop", "mobile": "Mobile", "tablet": "Tablet"}


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A login as clients send it; instants without a zone are UTC."""

    user_id: Annotated[int, Whole]
    login_time: When | None = None
    logout_time: When | None = None
    session_duration_seconds: Annotated[int, Seconds] | None = None
    ip_address: Annotated[str, text(64)]
    region: Annotated[str, label(100)]
    device_type: Annotated[str, label(100)]
    browser: Annotated[str, label(BROWSER_CHARACTERS)]


def check(login: Login) -> list[str]:
    """Return the faults in the times of a login: out of range, or in the wrong order."""
    faults: list[str] = []
    start = _utc("login_time", login.login_time, faults)
    end = _utc("logout_time", login.logout_time, faults)
    if end and end < (start or datetime.now(UTC)):
        faults.append("logout_time must not be before login_time" + ("" if start else ", which defaults to now"))
    if start and end and end - start > LONGEST:
        faults.append("logout_time must be within ten years after login_time")
    return faults


def _utc(name: str, time: datetime | None, faults: list[str]) -> datetime | None:
    try:
        return utc(time) if time else None
    except ValueError:
        faults.append(f"{name} must be {INSTANT_RULE}")
        return None


def row(login: Login, id: UUID, ip_kept: str = "full") -> Row:
    """Return the values of `STREAM.columns`: times in UTC, known device types capitalised, the address cut.

    `insert` computes the times and the duration that are None.
    """
    start = utc(login.login_time) if login.login_time else None
    end = utc(login.logout_time) if login.logout_time else None
    device = DEVICES.get(login.device_type.lower(), login.device_type)
    return (
        id, login.user_id, start, end, login.session_duration_seconds,
        cut(login.ip_address, ip_kept), login.region, device, login.browser,
    )  # fmt: skip


def as_spooled(row: Row) -> Row:
    """Return the row with the values that `insert` would compute now: it runs later, when the spool is replayed."""
    id, user, start, end, seconds, *rest = row
    start = start or min(datetime.now(UTC), end or LAST_INSTANT)
    if seconds is None and end is not None:
        seconds = int((end - start).total_seconds())
    return (id, user, start, end, seconds, *rest)


DECODER = Decoder(Login, check)
