"""Every metric of `/metrics`. Units are seconds and bytes, the base units of Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("statsd_events", "Events by stream and what became of them.", ["stream", "how"])
BATCH_ROWS = Histogram(
    "statsd_batch_rows", "Rows per committed batch.", ["stream"], buckets=(1, 4, 16, 64, 256, 1024, 5000)
)
COMMIT_SECONDS = Histogram("statsd_commit_seconds", "Time of one insert-and-fold statement.", ["stream"])
QUEUE_ROWS = Gauge("statsd_queue_rows", "Rows waiting to be committed.", ["stream"])
SWEPT = Counter("statsd_swept_rows", "Rows that other programs inserted and the aggregation folded.", ["stream"])
DATABASE_UP = Gauge("statsd_database_up", "1 when the last health check reached PostgreSQL.")
CLIENTS = Gauge("statsd_live_clients", "Open live connections.")
FRAMES = Counter("statsd_live_frames", "Frames handed to clients, by topic.", ["topic"])
FRAMES_SKIPPED = Counter("statsd_live_frames_skipped", "Frames replaced by a newer one before a slow client took them.")
CLIENTS_DROPPED = Counter("statsd_live_clients_dropped", "Clients closed by the server.", ["reason"])
LOOP_LAG_SECONDS = Gauge("statsd_loop_lag_seconds", "How late the event loop was at its last check.")
SPOOL_ROWS = Gauge("statsd_spool_rows", "Accepted events in the spool on disk.")
SPOOL_BYTES = Gauge("statsd_spool_bytes", "Bytes of the spool on disk.")
SPOOL_OLDEST_SECONDS = Gauge("statsd_spool_oldest_seconds", "Age of the oldest event in the spool.")
SPOOL_CORRUPT = Gauge("statsd_spool_corrupt_files", "Spool files kept because they are damaged.")
DEAD_LETTERS = Gauge("statsd_dead_letters", "Accepted events that PostgreSQL refused later, at the last health check.")
PRUNED = Counter("statsd_pruned_rows", "Raw rows deleted by the retention.", ["stream"])
