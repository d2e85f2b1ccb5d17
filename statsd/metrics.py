"""Every metric of `/metrics`. Units are seconds and bytes, the base units of Prometheus.

Gauges that no event changes are set at the scrape (`site/readings.py`); NaN where the database did not answer.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # gauges that only repeat the time of the start

EVENTS = Counter("statsd_events", "Events by stream and what became of them.", ["stream", "how"])
BATCH_ROWS = Histogram(
    "statsd_batch_rows", "Rows per committed batch.", ["stream"], buckets=(1, 4, 16, 64, 256, 1024, 5000)
)
COMMIT_SECONDS = Histogram("statsd_commit_seconds", "Time of one insert-and-fold statement.", ["stream"])
QUEUE_ROWS = Gauge("statsd_queue_rows", "Rows waiting to be committed.", ["stream"])
SWEPT = Counter("statsd_swept_rows", "Rows that other programs inserted and the aggregation folded.", ["stream"])
PRUNED = Counter("statsd_pruned_rows", "Raw rows deleted by the retention.", ["stream"])
LAST_STORED_SECONDS = Gauge(
    "statsd_last_stored_seconds", "Time since a stream last stored an event, at any server.", ["stream"]
)

DATABASE_UP = Gauge("statsd_database_up", "1 if PostgreSQL answers.")
DATABASE_WRITABLE = Gauge("statsd_database_writable", "1 if events can be written to PostgreSQL.")
DATABASE_BYTES = Gauge("statsd_database_bytes", "Size of the database.")
DEAD_LETTERS = Gauge("statsd_dead_letters", "Accepted events that PostgreSQL refused later.")
OUTAGE = Gauge("statsd_outage", "1 while events wait on disk because PostgreSQL did not store them.")
OUTAGE_SECONDS = Gauge("statsd_outage_seconds", "How long the outage has lasted; 0 without one.")
LISTENING = Gauge("statsd_listening", "1 while changes at other servers arrive (LISTEN).")
LISTENING_SECONDS = Gauge("statsd_listening_seconds", "Time since that changed.")

SPOOL_ROWS = Gauge("statsd_spool_rows", "Accepted events in the spool on disk.")
SPOOL_BYTES = Gauge("statsd_spool_bytes", "Bytes of the spool on disk.")
SPOOL_MAX_BYTES = Gauge("statsd_spool_max_bytes", "Largest size of the spool (STATS_SPOOL_MAX_BYTES).")
SPOOL_OLDEST_SECONDS = Gauge("statsd_spool_oldest_seconds", "Age of the oldest event in the spool.")
SPOOL_CORRUPT = Gauge("statsd_spool_corrupt_files", "Spool files kept as .corrupt because they are damaged.")
DATA_FREE_BYTES = Gauge("statsd_data_free_bytes", "Free space on the disk of the data folder.")
DATA_DISK_BYTES = Gauge("statsd_data_disk_bytes", "Size of the disk of the data folder.")

CLIENTS = Gauge("statsd_live_clients", "Open live connections.")
FRAMES = Counter("statsd_live_frames", "Frames handed to clients, by topic.", ["topic"])
FRAMES_SKIPPED = Counter("statsd_live_frames_skipped", "Frames replaced by a newer one before a slow client took them.")
CLIENTS_DROPPED = Counter("statsd_live_clients_dropped", "Clients closed by the server.", ["reason"])
LOOP_LAG_SECONDS = Gauge("statsd_loop_lag_seconds", "How late the event loop was at its last check.")

REFUSALS = Counter("statsd_refusals", "Refused requests, by reason.", ["reason"])
THROTTLED = Counter("statsd_throttled", "Logins and registrations that were refused as too many.", ["what"])
for _reason in ("database_away", "overloaded", "spool_full"):
    REFUSALS.labels(_reason)  # exported as 0: Prometheus sees no increase where a series begins
BUILD = Info("statsd_build", "The version of the program.")

REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.75, 2.5, 10.0)
"""Upper limits of the buckets of `statsd_request_seconds`."""


class Latency:
    """Counts the answers of one route and method in plain numbers: a request of the lean front costs 30 µs in all."""

    __slots__ = ("by_status",)

    def __init__(self) -> None:
        self.by_status: dict[int, list[float]] = {}
        """Answers in each bucket and above all of them, then their seconds in all."""

    def observe(self, status: int, seconds: float) -> None:
        """Count an answer."""
        if status not in self.by_status:
            self.by_status[status] = [0] * (len(REQUEST_SECONDS) + 1) + [0.0]
        numbers = self.by_status[status]
        numbers[bisect_left(REQUEST_SECONDS, seconds)] += 1
        numbers[-1] += seconds


class Requests(Collector):
    """Requests and their latency by route, method and status, as a histogram."""

    NAME, ABOUT = "statsd_request_seconds", "Time until an answer begins, by route, method and status."

    def __init__(self) -> None:
        self._latencies: dict[tuple[str, str], Latency] = {}

    def of(self, route: str, method: str) -> Latency:
        """Return the counts of a route, named by its pattern, and a method."""
        return self._latencies.setdefault((route, method), Latency())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram, for the scrape."""
        family = HistogramMetricFamily(self.NAME, self.ABOUT, labels=["route", "method", "status"])
        limits = [*map(str, REQUEST_SECONDS), "+Inf"]
        for (route, method), latency in list(self._latencies.items()):
            for status, (*numbers, seconds) in list(latency.by_status.items()):
                sums = [sum(numbers[: index + 1]) for index in range(len(numbers))]
                family.add_metric([route, method, str(status)], list(zip(limits, sums, strict=True)), seconds)
        yield family


REQUESTS = Requests()
REGISTRY.register(REQUESTS)
