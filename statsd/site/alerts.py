"""Alerts: signed webhooks to STATS_ALERT_URL when something is wrong, and when it is well again.

Each is sent once when it begins and once when it has ended; a receiver that is down gets it later, for 15 minutes. What
was sent is kept in the data folder, so that a restart repeats nothing. Signatures follow Standard Webhooks, as those of
the webhooks that come in. The field `text` is what receivers made for Slack show.
"""

import asyncio
import base64
import logging
import math
import socket
import time
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

import aiohttp
import msgspec

from statsd.database import durable
from statsd.ingest.spool import Spool
from statsd.settings import Settings
from statsd.site.readings import Reading, Readings
from statsd.streams.webhooks import senders
from statsd.web.times import iso

CHECK_SECONDS = 5.0
CALM_SECONDS = 30.0  # a problem has ended once it was not seen for so long: it may come and go every second
SEND_SECONDS = 10.0  # for one attempt
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0  # between two attempts; each pause is twice the one before
GIVE_UP_SECONDS = 900.0
SPOOL_SHARE = 0.5
DISK_SHARE = 0.05  # less free than this, or than twice what the spool leaves free, is nearly full

ENDED = {
    "database_away": "the database stores events again",
    "spool_half_full": "the spool is less than half full",
    "dead_letters": "no dead letters are left",
    "disk_nearly_full": "the disk of the data folder has room again",
    "corrupt_files": "no damaged spool files are left",
}
"""What is well again, by alert."""
SILENT = "silent_"  # and the name of a stream

log = logging.getLogger("statsd.alerts")


class Message(msgspec.Struct):
    """The body of an alert."""

    text: str
    alert: str
    state: Literal["began", "ended"]
    server: str
    since: str
    timestamp: str


def problems(reading: Reading, spool: Spool, settings: Settings) -> dict[str, str]:
    """Return what is wrong by alert, and "" for what is well. What could not be read is in neither."""
    size, most = spool.size, spool.max_bytes
    found = {
        "database_away": reading.reason,
        "spool_half_full": f"{size} of {most} bytes of the spool are used" if size > SPOOL_SHARE * most else "",
    }
    if reading.dead_letters is not None:
        number = reading.dead_letters
        found["dead_letters"] = f"{number} accepted events were refused by PostgreSQL (dead letters)" if number else ""
    if disk := reading.disk:
        is_full = disk.free < max(DISK_SHARE * disk.size, 2 * settings.spool_min_free)
        found["disk_nearly_full"] = f"{disk.free} bytes of the data folder's disk are free" if is_full else ""
        found["corrupt_files"] = f"{disk.corrupt} spool files are damaged (.corrupt)" if disk.corrupt else ""
    return found


def silences(reading: Reading, minutes: int, started: float, known: Container[str]) -> dict[str, str]:
    """Return which streams have stored nothing for so long, of those that ever stored an event, and "" for the others.

    Nobody listened before `started` (in seconds since 1970); a silence that is `known` has lasted longer. Events that
    wait on disk are no silence.
    """
    found = {}
    for stream, stored_at in reading.stored_at.items() if minutes and not reading.reason else ():
        since = stored_at if SILENT + stream in known else max(stored_at, started)
        is_silent = time.time() - since > 60 * minutes
        found[SILENT + stream] = f"{stream} has had no event since {_instant(stored_at)}" if is_silent else ""
    return found


class Alerts:
    """Compares what is wrong with what was sent. `run` is its task."""

    def __init__(self, settings: Settings, readings: Readings, spool: Spool) -> None:
        self._settings, self._readings, self._spool = settings, readings, spool
        self._started = time.time()
        self._file = settings.data_dir / "alerts.json"
        self._sent: dict[str, float] = {}  # alerts that began, and when, in seconds since 1970
        self._seen: dict[str, tuple[float, str]] = {}  # when each was last wrong, and what was
        self._deliveries: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Check every five seconds until cancelled."""
        self._sent = await asyncio.to_thread(_load, self._file)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SEND_SECONDS)) as session:
            try:
                while True:
                    await self._check(session)
                    await asyncio.sleep(CHECK_SECONDS)
            finally:
                for delivery in self._deliveries.values():
                    delivery.cancel()
                await asyncio.gather(*self._deliveries.values(), return_exceptions=True)

    async def _check(self, session: aiohttp.ClientSession) -> None:
        reading = await self._readings.take()
        silent = silences(reading, self._settings.alert_silent_minutes, self._started, self._sent)
        found = problems(reading, self._spool, self._settings) | silent
        now = time.monotonic()
        for alert, problem in found.items():
            if problem:
                self._seen[alert] = now, problem
            seen, problem = self._seen.get(alert, (-math.inf, ""))  # noqa: PLW2901 - the latest one
            is_wrong = now - seen < CALM_SECONDS
            if is_wrong != (alert in self._sent) and alert not in self._deliveries:
                delivery = asyncio.create_task(self._deliver(session, alert, problem if is_wrong else ""))
                self._deliveries[alert] = delivery
                delivery.add_done_callback(lambda _, alert=alert: self._deliveries.pop(alert))  # type: ignore[misc]

    async def _deliver(self, session: aiohttp.ClientSession, alert: str, problem: str) -> None:
        """Send that an alert began, or without a problem that it ended; remember that, delivered or not."""
        since, server = self._sent.get(alert, time.time()), socket.gethostname()
        well = ENDED.get(alert) or f"{alert.removeprefix(SILENT)} has events again"
        text = f"statsd-live on {server}: {problem or well}"
        state: Literal["began", "ended"] = "began" if problem else "ended"
        await self._send(session, Message(text, alert, state, server, _instant(since), _instant(time.time())))
        if problem:
            self._sent[alert] = since
        else:
            del self._sent[alert]
        try:
            await asyncio.to_thread(durable.replace, self._file, msgspec.json.encode(self._sent).decode())
        except OSError as error:
            log.warning("alerts that were sent cannot be kept, a restart may repeat them: %s", error)

    async def _send(self, session: aiohttp.ClientSession, message: Message) -> None:
        id, body = f"msg_{uuid4().hex}", msgspec.json.encode(message)
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while failure := await self._post(session, id, body):
            if time.monotonic() + pause - began > GIVE_UP_SECONDS:
                log.error("the alert was not delivered (%s): %s", failure, message.text)
                return
            log.info("the alert will be sent again in %g s (%s): %s", pause, failure, message.text)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _post(self, session: aiohttp.ClientSession, id: str, body: bytes) -> str:
        """Post a message; return why it was not taken, or "". The URL, which may be secret, is in no text."""
        try:
            # A redirect is not followed, and of the answer only the head is read.
            async with session.post(
                self._settings.alert_url or "", data=body, headers=self._headers(id, body), allow_redirects=False
            ) as response:
                return "" if 200 <= response.status < 300 else f"the receiver answered {response.status}"
        except TimeoutError:
            return f"the receiver did not answer within {SEND_SECONDS:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"the receiver cannot be reached ({type(error).__name__})"

    def _headers(self, id: str, body: bytes) -> Mapping[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "statsd-live", "webhook-id": id}
        headers["webhook-timestamp"] = timestamp = str(int(time.time()))
        if secret := self._settings.alert_secret:
            signature = base64.b64encode(senders.signature(secret, id, timestamp, body)).decode()
            headers["webhook-signature"] = f"v1,{signature}"
        return headers


def _load(file: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s cannot be read, alerts may be repeated: %s", file, error)
        return {}


def _instant(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
