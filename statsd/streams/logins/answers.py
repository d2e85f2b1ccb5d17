"""The bodies of answers about logins, and their examples in the OpenAPI document."""

from datetime import date
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from statsd.web.answers import Instant


class StoredLogin(msgspec.Struct):
    """A stored login. One that waits on disk for the database has no `created_at` and no `updated_at` yet."""

    id: UUID
    user_id: int
    login_time: Instant
    logout_time: Instant | None
    session_duration_seconds: int | None
    ip_address: str
    region: str
    device_type: str
    browser: str
    created_at: Instant | UnsetType = UNSET
    updated_at: Instant | UnsetType = UNSET


class DeviceStats(msgspec.Struct):
    """The logins from a type of device. `percentage` is its share of all logins."""

    device_type: str
    count: int
    unique_users: int
    percentage: float
    avg_session_duration_seconds: float


class RegionDeviceStats(msgspec.Struct):
    """The logins from a type of device in a region. `region_total` counts all logins of the region."""

    region: str
    device_type: str
    count: int
    region_total: int
    avg_session_duration_seconds: float


class SessionStats(msgspec.Struct):
    """The finished sessions on a type of device, and the number of active ones. Durations are in seconds."""

    device_type: str
    totalSessions: int  # noqa: N815 - here and below: names on the wire
    averageDuration: float  # noqa: N815
    minDuration: int  # noqa: N815
    maxDuration: int  # noqa: N815
    medianDuration: float  # noqa: N815
    total_sessions: int
    avg_duration_seconds: float
    active_sessions: int


class SessionSummary(msgspec.Struct, rename="camel"):
    """The finished sessions on all devices, and the number of active ones. Durations are in seconds."""

    total_sessions: int
    average_duration: float
    min_duration: int
    max_duration: int
    median_duration: float
    active_sessions: int
    total_logins: int
    unique_users: int


class RegionStats(msgspec.Struct):
    """The logins from a region."""

    region: str
    count: int


class BrowserStats(msgspec.Struct):
    """The logins with a browser."""

    browser: str
    count: int


class DayOfLogins(msgspec.Struct, rename="camel"):
    """The logins of a UTC day."""

    date: date
    login_count: int


class HourOfLogins(msgspec.Struct, rename="camel"):
    """The logins in an hour of the day (UTC), summed over all days."""

    hour: int
    login_count: int


class LoginStatistics(msgspec.Struct, rename="camel"):
    """The statistics of all logins."""

    device_stats: list[DeviceStats]
    region_device_stats: list[RegionDeviceStats]
    session_stats: list[SessionStats]
    session_summary: SessionSummary
    region_stats: list[RegionStats]
    browser_stats: list[BrowserStats]
    login_trends: list[DayOfLogins]
    peak_hours: list[HourOfLogins]
    total_sessions: int
    total_users: int
    average_session_duration: float
    generated_at: Instant


EXAMPLE = {
    "user_id": 7, "login_time": "2026-11-21T10:00:00.000Z", "logout_time": "2026-11-21T10:30:00.000Z",
    "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox",
}  # fmt: skip
STORED = msgspec.convert({
    "id": "01a2105e-a6a6-781b-95ab-5b9788c5ad59", **EXAMPLE, "session_duration_seconds": 1800,
    "created_at": "2026-11-21T10:30:00.125Z", "updated_at": "2026-11-21T10:30:00.125Z",
}, StoredLogin)  # fmt: skip
