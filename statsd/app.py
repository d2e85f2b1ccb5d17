"""What is wired to what, what starts, what stops, and in which order: the only place that knows all."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from aiohttp import web

from statsd import (
    accounts,
    aggregate,
    database,
    front,
    generator,
    health,
    ingest,
    live,
    outage,
    pages,
    postgres,
    session,
    signin,
    sse,
    websocket,
)
from statsd import web as http
from statsd.channel import CHANNEL, Channel
from statsd.database import DSN
from statsd.errors import DatabaseAway, StatsError
from statsd.settings import SETTINGS, Settings, is_loopback
from statsd.spool import Spool
from statsd.streams import STREAMS
from statsd.tasks import FAILED, background, ended, watch
from statsd.tokens import Tokens, kept_secret

DRAIN_SECONDS = 4.0
CLOSE_SECONDS = 1.0

log = logging.getLogger("statsd.app")


def make_app(settings: Settings) -> web.Application:
    """Return the application; nothing runs until its startup."""
    app = web.Application(middlewares=[http.errors_to_bodies], client_max_size=http.BATCH_BYTES)
    app[SETTINGS] = settings
    app[http.ORIGINS] = frozenset(settings.cors_origins)
    app[health.STATE] = health.State()
    app.on_response_prepare.append(http.add_headers)
    app.add_routes([*health.routes(), *pages.routes(), *signin.routes(), *front.routes()])
    app[http.OPEN_PATHS] = frozenset().union(*(stream.open_paths for stream in STREAMS))
    app[http.NEAR_PATHS] = frozenset().union(*(stream.near_paths for stream in STREAMS))
    app[http.SESSION_PATHS] = signin.PATHS.union(*(stream.session_paths for stream in STREAMS))
    app[http.ENVELOPES] = {}
    app[http.ENVELOPES].update(dict.fromkeys(signin.PATHS, http.plain_envelope))
    for stream in STREAMS:
        routes = app.add_routes(stream.routes())
        if stream.envelope:
            app[http.ENVELOPES].update(dict.fromkeys(map(http.address, routes), stream.envelope))
    # Started in this order, stopped in the opposite one.
    app.cleanup_ctx.extend(
        [
            watching,
            the_database,
            the_spool,
            the_schema,
            the_channel,
            the_accounts,
            *(context for stream in STREAMS for context in stream.contexts),
            live_topics,
            writers,
            aggregation,
            synthetic_logins,
        ]
    )
    app.on_shutdown.append(say_goodbye)
    return app


async def say_goodbye(app: web.Application) -> None:
    """Runs when nothing new is accepted any more and before open requests are waited for."""
    app[health.STATE].phase = health.Phase.STOPPING
    await asyncio.gather(websocket.close_all(app[live.HUB]), app[sse.LISTENERS].close_all())


async def watching(app: web.Application) -> AsyncIterator[None]:
    app[FAILED] = asyncio.get_running_loop().create_future()
    yield
    app[FAILED].cancel()


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of the database that is configured, or of the embedded one, which then runs."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with postgres.running(settings.data_dir) as server:
        yield server.dsn


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of a database whose schema is up to date. Raises DatabaseError."""
    async with open_server(settings) as dsn:
        await database.migrate(dsn)
        yield dsn


async def the_database(app: web.Application) -> AsyncIterator[None]:
    async with open_server(app[SETTINGS]) as dsn:
        app[DSN] = dsn
        app[database.POOL] = pool = await database.open_pool(dsn)
        yield
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:  # a server that is frozen lets nobody go
            pool.terminate()


async def the_spool(app: web.Application) -> AsyncIterator[None]:
    told = app[SETTINGS]
    folder = told.data_dir / "spool"
    spool = Spool(folder, max_bytes=told.spool_max_bytes, min_free=told.spool_min_free)
    try:
        await spool.open()
    except OSError as error:
        why = error.strerror or error
        raise StatsError(f"{folder} cannot be used ({why}): set STATS_DATA_DIR to a folder of your own") from error
    app[outage.OUTAGE] = outage.Outage(app[database.POOL], spool, STREAMS)
    yield
    await spool.close()


async def the_schema(app: web.Application) -> AsyncIterator[None]:
    """Migrate; where the database is away though this data folder has served it before, accept events meanwhile."""
    served = app[SETTINGS].data_dir / "served"
    name = hashlib.sha256(app[DSN].encode()).hexdigest()
    try:
        await database.migrate(app[DSN])
    except DatabaseAway as away:
        if not served.exists() or served.read_text() != name:
            raise
        app[outage.OUTAGE].prepare = partial(database.migrate, app[DSN])
        app[outage.OUTAGE].begin(str(away))
    else:
        served.write_text(name)
    yield


async def the_channel(app: web.Application) -> AsyncIterator[None]:
    dsn = app[SETTINGS].listen_url or app[DSN]
    app[CHANNEL] = Channel(dsn, app[database.POOL])
    yield


async def the_accounts(app: web.Application) -> AsyncIterator[None]:
    told = app[SETTINGS]
    secrets = (told.jwt_secret or kept_secret(told.data_dir), told.jwt_secret_previous)
    if told.database_url and not told.jwt_secret:
        log.info("JWT_SECRET is not set: servers on one database that do not share a data folder need the same one")
    app[session.TOKENS] = Tokens(*filter(None, secrets))
    async with accounts.opened(app[database.POOL], told.throttle_exempt) as known:
        app[accounts.ACCOUNTS] = known
        if not is_loopback(told.host):
            with suppress(DatabaseAway):
                await warn_of_samples(known)
        yield


async def warn_of_samples(known: accounts.Accounts) -> None:
    if number := await known.samples():
        log.warning("%d sample accounts have a password that everybody knows: user remove, or user passwd", number)


async def live_topics(app: web.Application) -> AsyncIterator[None]:
    views = {name: view for stream in STREAMS for name, view in stream.topics().items()}
    topics = {name: live.Topic(name, app[database.POOL], view) for name, view in views.items()}
    app[live.HUB] = live.Hub(topics)
    app[sse.LISTENERS] = sse.Listeners(app[SETTINGS].throttle_exempt)
    async with AsyncExitStack() as tasks:
        for topic in topics.values():
            await tasks.enter_async_context(background(app, f"broadcast {topic.name}", topic.run()))
        await tasks.enter_async_context(background(app, "listen", app[CHANNEL].listen(app[live.HUB].changed)))
        await tasks.enter_async_context(background(app, "announce", app[CHANNEL].run()))
        await tasks.enter_async_context(background(app, "greet", app[sse.LISTENERS].greet()))
        if not app[outage.OUTAGE].away:
            with suppress(
                TimeoutError
            ):  # whoever connects first hears of everything; later, LISTEN says what it missed
                await asyncio.wait_for(app[CHANNEL].listening.wait(), database.CONNECT_SECONDS)
        yield


async def writers(app: web.Application) -> AsyncIterator[None]:
    """The writers stop by themselves once they were told to, so that what was taken is stored."""
    away = app[outage.OUTAGE]
    made = {s.name: ingest.Writer(s, app[database.POOL], app[CHANNEL].announce, away) for s in STREAMS}
    app[ingest.WRITERS] = made
    tasks = [watch(app, f"writer {name}", writer.run()) for name, writer in made.items()]
    async with background(app, "outage", away.run({name: writer.replay for name, writer in made.items()})):
        app[health.STATE].phase = health.Phase.SERVING
        yield
    for writer in made.values():
        writer.stop()
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    for task in late:
        log.error("%s did not finish within %g s: its rows were not acknowledged", task.get_name(), DRAIN_SECONDS)
        await ended(task)


async def aggregation(app: web.Application) -> AsyncIterator[None]:
    told = app[SETTINGS]
    rounds = aggregate.Aggregation(app[database.POOL], STREAMS, told.aggregate_seconds, told.retention_days)
    work = rounds.run(swept=app[CHANNEL].announce, done=lambda: app[live.HUB].changed(None))
    async with background(app, "aggregation", work):
        yield


async def synthetic_logins(app: web.Application) -> AsyncIterator[None]:
    rate = app[SETTINGS].generate_rate
    if not rate:
        yield
        return
    stream = STREAMS[0]
    source = generator.Generator(stream, app[ingest.WRITERS][stream.name])
    async with background(app, "generator", source.at_rate(rate)):
        yield


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; call `ready` with the address once requests are accepted.

    Raises StatsError (what is wrong with the database, the data folder or the port), and the error of a background
    task that died.
    """
    app = make_app(settings)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=15, lingering_time=2, shutdown_timeout=3)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise StatsError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}") from error
        host, port = runner.addresses[0][:2]
        gc.freeze()  # what lives as long as the program need not be looked through again and again
        gc.set_threshold(50_000, 20, 50)
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await app[FAILED]
    finally:
        app[health.STATE].phase = health.Phase.STOPPING
        await runner.cleanup()
