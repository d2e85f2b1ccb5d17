"""The application: how its parts are wired, and in which order they start and stop."""

import asyncio
import gc
import hashlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from aiohttp import web

from statsd import metrics, site, streams
from statsd.accounts import access, manage, signin
from statsd.accounts.access import HOLDS, Holds, check_access
from statsd.accounts.checks import CHECKS, Checks
from statsd.accounts.keys import KEY_CHECKS, KeyChecks
from statsd.accounts.session import TOKENS
from statsd.accounts.tokens import Tokens, kept_secret
from statsd.accounts.users import ACCOUNTS, open_accounts
from statsd.database import durable, sql
from statsd.database.migrations import migrate
from statsd.database.pool import CONNECT_SECONDS, DSN, POOL, open_pool
from statsd.errors import CannotListen, DatabaseAway, StatsError
from statsd.ingest import aggregate, demo, lean
from statsd.ingest.generator import Generator, WriterStore
from statsd.ingest.order import key_of_record
from statsd.ingest.outage import OUTAGE, Outage
from statsd.ingest.refusals import REFUSALS, Refusals
from statsd.ingest.spool import Spool
from statsd.ingest.tally import log_sums
from statsd.ingest.writer import WRITERS, Writer
from statsd.live import websocket
from statsd.live.channel import CHANNEL, Channel
from statsd.live.places import Places
from statsd.live.sse import CONNECTIONS, Connections
from statsd.live.topics import HUB, Hub, Topic
from statsd.settings import Settings
from statsd.site import docs
from statsd.site.alerts import Alerts
from statsd.site.health import STATE, State
from statsd.site.readings import READINGS, make_readings
from statsd.streams import STREAMS, logins, webhooks
from statsd.web import SETTINGS
from statsd.web.addresses import is_loopback
from statsd.web.asked import BATCH_BYTES, check_query
from statsd.web.backlog import backlog
from statsd.web.errors import errors_to_bodies
from statsd.web.exposure import exposure
from statsd.web.meter import count, timed
from statsd.web.origins import add_headers

DRAIN_SECONDS = 4.0
CLOSE_SECONDS = 1.0
LAG_SECONDS = 1.0  # between two measurements of the event loop's lag
COLLECT_CHECK_SECONDS = 1.0  # between two decisions whether to collect garbage
CHECKS_PER_COLLECTION = 60
FEW_CLIENTS = 200  # a collection with these takes up to 5 ms, with 5,000 up to 200 ms

FAILED: web.AppKey[asyncio.Future[None]] = web.AppKey("failed")
"""Gets the error of a background task that died; the program then stops."""

log = logging.getLogger("statsd.app")


def make_app(settings: Settings, dsn: str = "") -> web.Application:
    """Return the application for the database at `dsn`, by default DATABASE_URL. Nothing starts before its startup."""
    app = web.Application(middlewares=[timed, errors_to_bodies, check_access, check_query], client_max_size=BATCH_BYTES)
    app[SETTINGS] = settings
    app[DSN] = dsn or settings.database_url or ""
    app[STATE] = State()
    app[websocket.INITIAL] = logins.socket.CONTRACT
    app[access.VIEWS] = streams.views()
    app[websocket.CONTRACTS] = {"events": webhooks.socket.CONTRACT}
    app.on_response_prepare.extend((add_headers, count, webhooks.refused.note))
    app.add_routes([*site.ROUTES, *signin.ROUTES, *manage.ROUTES, *streams.ROUTES])
    app[docs.DOCUMENT] = docs.on_demand(app)
    # Started in this order, stopped in reverse.
    app.cleanup_ctx.extend((failure_watch, the_database, the_spool, the_schema, the_accounts, streams.resources))
    app.cleanup_ctx.extend((refusal_counts, live_topics, writers, readings, alerts, aggregation, synthetic_events))
    app.on_shutdown.append(close_clients)
    return app


async def close_clients(app: web.Application) -> None:
    """Close every live client: after the last request was accepted, and before open requests are awaited."""
    app[STATE].phase = "stopping"
    await asyncio.gather(websocket.close_all(app[HUB]), app[CONNECTIONS].close_all())


async def failure_watch(app: web.Application) -> AsyncIterator[None]:
    app[FAILED] = asyncio.get_running_loop().create_future()
    async with background(app, {"loop lag": measure_loop_lag()}):
        yield
    app[FAILED].cancel()


async def measure_loop_lag() -> None:
    """Measure once a second how late the event loop wakes a task."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG_SECONDS.set(max(0.0, loop.time() - due))


async def collect_garbage(hub: Hub, connections: Connections) -> None:
    """Collect reference cycles once a minute, and return the memory of many clients soon after they have left.

    Closed connections need no collection, but what they leave in the interpreter's free lists pins pages. A collection
    while many are open would hold the event loop for too long.
    """
    crowded = False
    for check in itertools.count(1):
        await asyncio.sleep(COLLECT_CHECK_SECONDS)
        if len(hub.sockets) + len(connections.open) > FEW_CLIENTS:
            crowded = True
        elif crowded or check % CHECKS_PER_COLLECTION == 0:
            gc.collect()
            crowded = False


async def the_database(app: web.Application) -> AsyncIterator[None]:
    app[POOL] = pool = await open_pool(app[DSN], app[SETTINGS].lanes)
    app[CHANNEL] = Channel(app[SETTINGS].listen_url or app[DSN], pool, app[SETTINGS].pace_ms / 1e3)
    yield
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:  # a frozen server does not answer the close
        pool.terminate()


async def the_spool(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    folder = settings.data_dir / "spool"
    key = key_of_record(STREAMS)
    spool = Spool(folder, max_bytes=settings.spool_max_bytes, min_free=settings.spool_min_free, key=key)
    try:
        await spool.open()
    except OSError as error:
        reason = error.strerror or error
        raise StatsError(f"{folder} cannot be used ({reason}): set STATS_DATA_DIR to a folder of your own") from error
    app[OUTAGE] = Outage(app[POOL], spool, STREAMS)
    yield
    await spool.close()


async def the_schema(app: web.Application) -> AsyncIterator[None]:
    """Migrate. If the database is away and this data folder has served it before, begin with an outage instead."""
    served = app[SETTINGS].data_dir / "served"
    digest = hashlib.sha256(app[DSN].encode()).hexdigest()
    try:
        await migrate(app[DSN])
    except DatabaseAway as error:
        if not served.exists() or served.read_text() != digest:
            raise
        app[OUTAGE].prepare = partial(migrate, app[DSN])
        app[OUTAGE].begin(error)
    else:
        durable.replace(served, digest)
    yield


async def the_accounts(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    secrets = (settings.jwt_secret or kept_secret(settings.data_dir), settings.jwt_secret_previous)
    if settings.database_url and not settings.jwt_secret:
        log.info("JWT_SECRET is not set: servers on one database need the same one, unless they share a data folder")
    app[TOKENS] = Tokens(*filter(None, secrets))

    def is_away() -> bool:
        return app[OUTAGE].away

    app[CHECKS], app[KEY_CHECKS] = Checks(app[POOL], is_away), KeyChecks(app[POOL], is_away)
    checking = [watch(app, "token checks", app[CHECKS].run()), watch(app, "key checks", app[KEY_CHECKS].run())]
    app[HOLDS] = Holds(app, partial(app[CHANNEL].announce, access.ANNOUNCEMENT))
    async with open_accounts(app[POOL], settings.throttle_exempt) as accounts:
        app[ACCOUNTS] = accounts
        with suppress(DatabaseAway):
            if not is_loopback(settings.host) and (number := await accounts.samples()):
                log.warning("%d sample accounts have a public password: use `user remove` or `user passwd`", number)
        yield
    app[CHECKS].stop()
    app[KEY_CHECKS].stop()
    await asyncio.wait(checking)


async def refusal_counts(app: web.Application) -> AsyncIterator[None]:
    names = [stream.name for stream in STREAMS if "refuse" in sql.load(stream.name)]
    app[REFUSALS] = {name: Refusals(name, app[POOL], app[CHANNEL].announce) for name in names}
    async with background(app, {f"refusals {name}": refusals.run() for name, refusals in app[REFUSALS].items()}):
        yield
        for refusals in app[REFUSALS].values():
            await refusals.flush()  # before its task is cancelled, which may be counting now


async def live_topics(app: web.Application) -> AsyncIterator[None]:
    views = {name: view for stream in STREAMS for name, view in stream.topics().items()}
    topics = {name: Topic(name, app[POOL], view, app[SETTINGS].pace_ms / 1e3) for name, view in views.items()}
    app[HUB] = Hub(topics)
    app[CONNECTIONS] = Connections(Places("streams", app[SETTINGS].throttle_exempt))
    app[websocket.PLACES] = Places("sockets", app[SETTINGS].throttle_exempt)
    works = {
        **{f"broadcast {name}": topic.run() for name, topic in topics.items()},
        "listen": app[CHANNEL].listen(partial(on_change, app)),
        "access": app[HOLDS].run(),
        "announce": app[CHANNEL].run(),
        "keep alive": app[CONNECTIONS].keep_alive(),
        "garbage": collect_garbage(app[HUB], app[CONNECTIONS]),
    }
    async with background(app, works):
        if not app[OUTAGE].away:
            # So that the first client misses no change. A LISTEN that fails now reports the gap later.
            with suppress(TimeoutError):
                await asyncio.wait_for(app[CHANNEL].listening.wait(), CONNECT_SECONDS)
        yield


def on_change(app: web.Application, announcement: str | None) -> None:
    """Act on what a server announces: a stream that changed, or a right that ended; None: on all after a gap."""
    app[HUB].changed(announcement)
    if announcement in (None, access.ANNOUNCEMENT):
        app[HOLDS].check()


async def writers(app: web.Application) -> AsyncIterator[None]:
    """Start the writers. At the stop they commit what is in their queues, for up to 4 s."""
    outage, announce, lanes = app[OUTAGE], app[CHANNEL].announce, app[SETTINGS].lanes
    app[WRITERS] = {stream.name: Writer(stream, app[POOL], announce, outage, lanes) for stream in STREAMS}
    tasks = [watch(app, f"writer {name}", writer.run()) for name, writer in app[WRITERS].items()]
    replays = {name: writer.replay for name, writer in app[WRITERS].items()}
    async with background(app, {"log sums": log_sums([writer.tally for writer in app[WRITERS].values()])}):
        async with background(app, {"outage": outage.run(replays)}):
            app[lean.WAYS] = streams.ways(app) if app[SETTINGS].lean else {}
            app[STATE].phase = "serving"
            yield
        for writer in app[WRITERS].values():
            writer.stop()
        _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        for task in late:
            log.error("%s did not finish within %g s: its rows were not acknowledged", task.get_name(), DRAIN_SECONDS)
            await cancel(task)


async def readings(app: web.Application) -> AsyncIterator[None]:
    app[READINGS] = make_readings(app)
    async with background(app, {"readings": app[READINGS].run()}):
        yield


async def alerts(app: web.Application) -> AsyncIterator[None]:
    sender = Alerts(app[SETTINGS], app[READINGS], app[OUTAGE].spool)
    async with background(app, {"alerts": sender.run()} if app[SETTINGS].alert_url else {}):
        yield


async def aggregation(app: web.Application) -> AsyncIterator[None]:
    done = partial(app[HUB].changed, None)

    def swept(stream: str) -> None:
        app[READINGS].swept(stream)
        app[CHANNEL].announce(stream)

    work = aggregate.run(app[POOL], [stream.name for stream in STREAMS], app[SETTINGS], swept, done)
    async with background(app, {"aggregation": work}):
        yield


async def synthetic_events(app: web.Application) -> AsyncIterator[None]:
    rate, is_demo = app[SETTINGS].generate_rate, app[SETTINGS].demo
    works: dict[str, Coroutine[Any, Any, None]] = {}
    if is_demo:
        with suppress(DatabaseAway):
            await demo.claim(app[POOL])
        works["demo"] = demo.run(app[POOL], STREAMS, app[WRITERS], rate)
    elif rate:
        works["generator"] = Generator([logins.STREAM], WriterStore(app[WRITERS])).at_rate(rate)
    async with background(app, works):
        yield


def watch(app: web.Application, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task; an error in it ends the program."""
    task = asyncio.create_task(work, name=name)

    def report(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("%s died", name, exc_info=error)
            if not app[FAILED].done():
                app[FAILED].set_exception(error)

    task.add_done_callback(report)
    return task


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; `watch` has reported its error."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


@asynccontextmanager
async def background(app: web.Application, works: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run a task for each of the works, by name, while the block runs."""
    tasks = [watch(app, name, work) for name, work in works.items()]
    try:
        yield
    finally:
        for task in reversed(tasks):
            await cancel(task)


async def serve(settings: Settings, dsn: str, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; call `ready` with the URL once requests are accepted.

    Raises StatsError (for the database, the data folder or the port) and the error of a background task that died.
    """
    if not is_loopback(settings.host) and (line := exposure(settings)):
        log.warning("%s", line)
    app = make_app(settings, dsn)
    runner = lean.Runner(app, access_log=None, keepalive_timeout=15, lingering_time=2, shutdown_timeout=3)
    try:
        await runner.setup()
        listener = web.TCPSite(runner, settings.host, settings.port, backlog=backlog())
        try:
            await listener.start()
        except OSError as error:  # `serve` has looked before, but somebody else may have been faster
            raise CannotListen(settings.host, settings.port, error) from error
        host, port = runner.addresses[0][:2]
        gc.freeze()  # the collector need not scan objects that live as long as the program
        gc.enable()
        gc.set_threshold(50_000, 20, 50)
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await app[FAILED]
    finally:
        app[STATE].phase = "stopping"
        await runner.cleanup()
