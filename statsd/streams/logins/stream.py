"""The stream of logins."""

from datetime import datetime
from uuid import UUID

from statsd.stream import Stream, is_integer
from statsd.streams.logins.event import as_spooled, row
from statsd.streams.logins.sample import WIRE, sample

STREAM = Stream(
    name="logins",
    columns={
        "id": UUID,
        "user_id": int,
        "login_time": datetime | None,
        "logout_time": datetime | None,
        "session_duration_seconds": int | None,
        "ip_address": str,
        "region": str,
        "device_type": str,
        "browser": str,
    },
    row=row,
    people=lambda row: (str(row[1]),),
    is_person=is_integer,
    as_spooled=as_spooled,
    sample=sample,
    wire=WIRE,
    share=15,
)
