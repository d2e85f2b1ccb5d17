"""Windows of time: the last hour, day and week, each made of whole UTC bins.

A window is exactly its bins: the current minute and the 59 before it, the current hour and the 23 before it, the
current day and the 6 before it. So its list, statistics, exports and chart agree.
"""

from datetime import datetime, timedelta

NAMES = ("hour", "day", "week")


def start(name: str, now: datetime) -> datetime:
    """Return the start of the window that ends at `now`, in UTC."""
    if name == "hour":
        return now.replace(second=0, microsecond=0) - timedelta(minutes=59)
    if name == "day":
        return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
