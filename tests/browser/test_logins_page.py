"""The dashboard as people meet it: real Chromium, the real program, a real database."""

from __future__ import annotations

import asyncio
import csv
import re
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import Locator, Page, expect
from program import Program
from screen import fits_every_screen, is_readable, tab_to
from visits import AWAY, Visits
from waiting import until

from statsd import app
from statsd.live import places
from statsd.settings import Settings

Start = Callable[..., Awaitable[Any]]
Run = Callable[..., Program]
Stats = dict[str, Any]
Rows = list[list[Any]]

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}


def at_hour(hour: int) -> str:
    """An instant of yesterday."""
    return (datetime.now(UTC) - timedelta(days=1)).replace(hour=hour).isoformat()


SOME = [
    {**LOGIN, "user_id": 1, "login_time": at_hour(3), "session_duration_seconds": 61},
    {**LOGIN, "user_id": 2, "login_time": at_hour(3), "session_duration_seconds": 7_322, "device_type": "Desktop"},
    {**LOGIN, "user_id": 2, "login_time": at_hour(9), "session_duration_seconds": 5, "browser": "Firefox"},
    {**LOGIN, "user_id": 3, "login_time": at_hour(17), "session_duration_seconds": 133_261, "region": "Côte d'Ivoire"},
    {**LOGIN, "user_id": 4, "device_type": "Desktop", "region": 'Here, or "there"'},
    {**LOGIN, "user_id": 5, "device_type": "Fridge", "region": "=1+1", "browser": "@SUM(A1)"},
    {**LOGIN, "user_id": 6, "device_type": "-2", "region": "+1", "browser": "Opera"},
]


async def post(page: Page, *logins: dict[str, Any]) -> None:
    """Store logins over HTTP: past the browser, as any other program would."""
    answer = await page.request.post("/logins", data=list(logins))
    assert answer.status == 201, await answer.text()


def panel(page: Page) -> Locator:
    return page.locator("[data-panel=logins]")


async def shows_state(page: Page, state: str) -> None:
    await expect(panel(page)).to_have_attribute("data-state", state)


async def shows_logins(page: Page, number: int) -> None:
    await expect(panel(page).locator("[data-tile=logins] [data-value]")).to_have_attribute("data-value", str(number))


async def is_connected(page: Page, how: str) -> None:
    await expect(page.locator("header[data-connection]")).to_have_attribute("data-connection", how)


# Beginning


async def test_empty_page_says_how_to_begin_and_fills_by_itself(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await shows_state(page, "empty")
    await is_connected(page, "live")
    guide = panel(page).locator("[data-guide]")
    await expect(guide).to_contain_text("python -m statsd generate")
    await expect(guide).to_contain_text(f"curl -X POST {page.url.rstrip('/')}/logins")
    await expect(panel(page).locator("[data-message]")).to_be_hidden()
    await expect(panel(page).locator("[data-card=trend]")).to_be_hidden()
    await is_readable(page)
    await post(page, LOGIN)
    await shows_logins(page, 1)
    await shows_state(page, "ready")
    await expect(guide).to_be_hidden()
    await expect(panel(page).locator("[data-card=trend] canvas")).to_be_visible()
    await expect(page.locator("[data-age]")).to_contain_text("Updated")
    await post(page, LOGIN)
    await shows_logins(page, 2)


async def test_copied_command_of_the_guide_stores_a_login(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), permissions=["clipboard-read", "clipboard-write"])
    copy = panel(page).get_by_role("button", name="Copy: One of your own")
    await copy.click()
    await expect(copy).to_have_text("Copied")
    command = await page.evaluate("() => navigator.clipboard.readText()")
    done = await asyncio.to_thread(subprocess.run, ["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    await shows_logins(page, 1)


async def test_every_open_page_shows_a_login(start: Start, visit: Visits) -> None:
    client = await start()
    one, two = await visit(client.make_url("/")), await visit(client.make_url("/"))
    for page in (one, two):
        await shows_state(page, "empty")
    for number in (1, 2):
        await post(one, LOGIN)
        for page in (one, two):
            await shows_logins(page, number)


# Trouble


async def test_page_survives_a_killed_server_and_nothing_is_lost(run: Run, folder: Path, visit: Visits) -> None:
    """kill -9, and the same server again: the page keeps its numbers, says what is wrong, and comes back by itself."""
    program = run("serve", "--port", "0", "--data-dir", str(folder / "data"))
    address = await program.address()
    page = await visit(address)
    await post(page, *SOME)
    await shows_logins(page, len(SOME))
    visit.expected = AWAY
    program.process.kill()
    await is_connected(page, "offline")
    await shows_state(page, "offline")
    await expect(panel(page).locator("[data-message]")).to_contain_text("The server is unavailable")
    await expect(panel(page).locator("[data-retry]")).to_be_visible()
    await shows_logins(page, len(SOME))
    await is_readable(page)
    again = run("serve", "--port", str(urlsplit(address).port), "--data-dir", str(folder / "data"))
    assert await again.address() == address
    await is_connected(page, "live")
    await shows_state(page, "ready")
    await expect(panel(page).locator("[data-message]")).to_be_hidden()
    await shows_logins(page, len(SOME))
    await post(page, LOGIN)
    await shows_logins(page, len(SOME) + 1)


async def test_retry_does_not_wait_for_the_next_try(start: Start, visit: Visits, database_url: str) -> None:
    client = await start()
    page = await visit(client.make_url("/"), clock=True)
    await is_connected(page, "live")
    visit.expected = AWAY
    port = client.port
    await client.close()
    message = panel(page).locator("[data-message]")

    async def next_try_is_far() -> re.Match[str] | None:
        await page.clock.fast_forward(1_000)
        return re.search(r"Next try in (1\d|[89]) s", await message.inner_text())

    async def connected() -> bool:
        await page.clock.run_for(10)  # of eight seconds, whatever they take on this machine
        return await page.locator("header[data-connection=live]").is_visible()

    await until(next_try_is_far)
    due = await page.evaluate("Date.now() + 8_000")
    await page.clock.pause_at(datetime.fromtimestamp(due / 1_000 - 6, UTC))
    async with TestClient(TestServer(app.make_app(Settings(database_url=database_url)), port=port)):
        await panel(page).locator("[data-retry]").click()
        await until(connected)
        assert await page.evaluate("Date.now()") < due
        await page.clock.resume()
        await shows_state(page, "empty")


async def test_page_polls_where_no_socket_can_be_had(
    start: Start, visit: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses the handshake as if it were full; later there is room again."""
    monkeypatch.setattr(places, "MOST", 0)
    visit.expected = "WebSocket connection to .* 503"
    page = await visit((await start()).make_url("/"), clock=True)
    await is_connected(page, "polling")
    await shows_state(page, "empty")
    for number in (1, 2):
        await post(page, LOGIN)
        await page.clock.fast_forward(5_000)
        await shows_logins(page, number)
        await shows_state(page, "ready")
    await is_connected(page, "polling")
    monkeypatch.undo()
    await page.clock.fast_forward(15_000)
    await is_connected(page, "live")


async def test_numbers_turn_stale_while_the_database_is_away(
    start: Start, visit: Visits, server_dsn: str, database_url: str
) -> None:
    page = await visit((await start()).make_url("/"), clock=True)
    await post(page, LOGIN)
    await shows_state(page, "ready")
    visit.expected = "status of 503"
    name = urlsplit(database_url).path.removeprefix("/")
    administrator = await asyncpg.connect(server_dsn)
    await administrator.execute(f"alter database {name} allow_connections false")
    await administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    await page.clock.fast_forward(31_000)
    await shows_state(page, "stale")
    await expect(panel(page).locator("[data-message]")).to_contain_text("It answers with status 503.")
    await shows_logins(page, 1)
    await is_readable(page)
    await administrator.execute(f"alter database {name} allow_connections true")
    await shows_state(page, "ready")
    await expect(panel(page).locator("[data-message]")).to_be_hidden()
    await administrator.close()


# Looks


async def test_nothing_is_wider_than_the_screen(start: Start, visit: Visits) -> None:
    """Neither the guide nor tiles, charts and tables; with the longest names there are."""
    long = {"region": "W" * 100, "device_type": "W" * 100, "browser": "W" * 100, "session_duration_seconds": 86_399}
    page = await visit((await start()).make_url("/"))
    await shows_state(page, "empty")
    await fits_every_screen(page)
    await post(page, {**LOGIN, **long}, *SOME[4:])
    await shows_state(page, "ready")
    await fits_every_screen(page)
    await open_tables(page)
    await fits_every_screen(page)


async def open_tables(page: Page) -> None:
    for toggle in await panel(page).locator("[data-toggle]").all():
        await toggle.click()


async def test_chart_follows_a_screen_that_changes_while_it_comes_to_rest(start: Start, visit: Visits) -> None:
    """A size that arrives in the last frame of a movement is not lost, nor applied later over a newer one."""
    page = await visit((await start()).make_url("/"), clock=True)
    await shows_state(page, "empty")
    await page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    await post(page, *SOME)

    async def charts_move() -> bool:
        await page.clock.run_for(20)
        return (
            await panel(page).locator("[data-card=browsers] canvas[width]:not([aria-label='No numbers yet'])").count()
            == 1
        )

    await until(charts_move)
    for width in (768, 375):
        await page.set_viewport_size({"width": width, "height": 800})
        await panel(page).locator(".canvas").evaluate_all(OBSERVED)
        await page.clock.fast_forward(2_000)
        await page.clock.run_for(100)
        assert await panel(page).locator(".canvas canvas").evaluate_all(UNFIT) == [], width


OBSERVED = """(all) => Promise.all(all.map((e) => new Promise((done) => new ResizeObserver(done).observe(e))))"""
UNFIT = (
    """(all) => all.filter((e) => Math.abs(e.clientWidth - e.parentElement.clientWidth) > 1).map((e) => e.ariaLabel)"""
)


async def test_everything_is_readable_and_drawn_in_light_and_dark(start: Start, visit: Visits) -> None:
    """The charts follow when the system changes its colours."""
    page = await visit((await start()).make_url("/"), reduced_motion="reduce")
    await post(page, *SOME)
    await shows_logins(page, len(SOME))
    await is_readable(page)
    backgrounds = set()
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)
        backgrounds.add(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        for name, variable in CHART_COLOURS.items():
            canvas = panel(page).locator(f"[data-card={name}] canvas")
            await until(partial(canvas.evaluate, HAS_COLOUR, variable))
    assert len(backgrounds) == 2
    await open_tables(page)
    await is_readable(page)


CHART_COLOURS = {
    "trend": "--accent",
    "devices": "--series-1",
    "regions": "--series-2",
    "hours": "--accent",
    "browsers": "--accent",
}
HAS_COLOUR = """(canvas, variable) => {
    const wanted = getComputedStyle(canvas).getPropertyValue(variable).trim();
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const rgb = (at) => `rgb(${data.slice(at, at + 3).join(", ")})`;
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255 && rgb(at) === wanted) return true;
    return false;
}"""


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
async def test_changed_number_flashes_unless_the_reader_wants_less_motion(
    start: Start, visit: Visits, wish: Any, moves: bool
) -> None:
    page = await visit((await start()).make_url("/"), clock=True, reduced_motion=wish)
    await post(page, LOGIN)
    await shows_logins(page, 1)
    await page.clock.fast_forward(5_000)  # flashes are paced
    value = panel(page).locator("[data-tile=logins] [data-value]")
    change = """where => { window.change = new Promise((done) => {
        const look = () => done(document.getAnimations().length > 0);
        new MutationObserver(look).observe(where, { attributeFilter: ["data-value"] });
    }); }"""
    await value.evaluate(change)
    await post(page, LOGIN)
    assert await page.evaluate("window.change") is moves


# Keyboard, screen reader, export


async def test_screen_reader_hears_the_newest_numbers_at_a_pace(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), clock=True)
    said = page.locator("[data-announcer]")
    await expect(said).to_have_text("No logins yet.")
    await post(page, LOGIN)
    await shows_logins(page, 1)
    await post(page, {**LOGIN, "user_id": 8})
    await shows_logins(page, 2)
    await expect(said).to_have_text("No logins yet.")
    await page.clock.fast_forward(15_000)
    await expect(said).to_have_text("2 logins by 2 users, 2 sessions active.")
    await expect(said).to_have_attribute("aria-live", "polite")


AVERAGE = "avg_session_duration_seconds"


def pick(rows: list[Stats], *names: str) -> Rows:
    """These columns of the rows; an average of 0 means that no session has finished."""
    return [[row[name] or None if name == AVERAGE else row[name] for name in names] for row in rows]


def with_share(rows: Rows) -> Rows:
    return [[name, count, round(100 * count / sum(row[1] for row in rows), 2)] for name, count in rows]


def sessions(device: str, stats: Stats, active: int) -> list[Any]:
    lengths = [stats[f"{which}Duration"] for which in ("min", "median", "average", "max")]
    return [device, active, stats["totalSessions"], *(lengths if stats["totalSessions"] else [None] * 4)]


CARDS: dict[str, Callable[[Stats], Rows]] = {
    "trend": lambda stats: pick(stats["loginTrends"], "date", "loginCount"),
    "devices": lambda stats: pick(stats["deviceStats"], "device_type", "count", "percentage", "unique_users", AVERAGE),
    "regions": lambda stats: pick(
        stats["regionDeviceStats"], "region", "device_type", "count", "region_total", AVERAGE
    ),
    "hours": lambda stats: with_share(pick(stats["peakHours"], "hour", "loginCount")),
    "browsers": lambda stats: with_share(pick(stats["browserStats"], "browser", "count")),
    "sessions": lambda stats: [
        *(sessions(row["device_type"], row, row["active_sessions"]) for row in stats["sessionStats"]),
        sessions("All devices", stats["sessionSummary"], stats["sessionSummary"]["activeSessions"]),
    ],
}
"""What each card has to say, from the payload of `GET /logins/stats`."""


def length(seconds: float) -> str:
    """The three largest units, from the first that is not 0."""
    minutes, hours, days = (round(seconds) // unit for unit in (60, 3_600, 86_400))
    parts = [(days, "d"), (hours % 24, "h"), (minutes % 60, "m"), (round(seconds) % 60, "s")]
    first = next(at for at, (value, _) in enumerate(parts) if value)
    return " ".join(f"{value}{unit}" for value, unit in parts[first : first + 3])


WRITTEN: dict[str, Callable[[Any], str]] = {
    "text": str,
    "name": str,
    "day": lambda text: f"{date.fromisoformat(text):%b} {date.fromisoformat(text).day}",
    "hour": "{:02}:00".format,
    "percent": "{:.1f}%".format,
    "count": "{:,}".format,
    "seconds": length,
}


def written(kind: str, value: Any) -> str:
    """How a table writes a value."""
    return "\u2013" if value is None else WRITTEN[kind](value)


async def table(page: Page, card: str) -> tuple[list[str], Rows]:
    """The kinds of a card's columns, and the texts of its cells."""
    shown = panel(page).locator(f"[data-card={card}] table")
    kinds = await shown.locator("thead th").evaluate_all("all => all.map((th) => th.dataset.kind)")
    texts = "all => all.map((tr) => [...tr.cells].map((cell) => cell.innerText))"
    return kinds, await shown.locator("tbody tr").evaluate_all(texts)


async def test_keyboard_alone_turns_every_chart_into_its_table(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, *SOME)
    await shows_logins(page, len(SOME))
    stats = await (await page.request.get("/logins/stats")).json()
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the numbers")
    await expect(skip).to_be_focused()
    await page.keyboard.press("Enter")
    assert await panel(page).locator("[data-card]").count() == len(CARDS)
    for number, (name, expected) in enumerate(CARDS.items()):
        card = panel(page).locator(f"[data-card={name}]")
        key = ["Enter", "Space"][number % 2]
        toggle = card.locator("[data-toggle]")
        if name != "sessions":  # which is a table always
            await tab_to(page, toggle)
            await page.keyboard.press(key)
        await expect(card).to_have_attribute("data-view", "table")
        kinds, texts = await table(page, name)
        rows = expected(stats)
        assert texts == [[written(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in rows]
        if name != "sessions":
            await page.keyboard.press(key)
            await expect(card).to_have_attribute("data-view", "chart")


async def test_arrow_keys_change_the_panel(start: Start, visit: Visits) -> None:
    """One tab is in the order of the Tab key, the others are reached with arrows, round and round."""
    page = await visit((await start()).make_url("/"))
    names = await page.locator("[data-tab]").evaluate_all("all => all.map((tab) => tab.dataset.tab)")
    assert len(names) > 1
    await page.locator("[data-tab=logins]").focus()
    for key, name in [("ArrowRight", names[1]), ("ArrowLeft", names[0]), ("ArrowLeft", names[-1]), ("Home", names[0])]:
        await page.keyboard.press(key)
        tab = page.locator(f"[data-tab={name}]")
        await expect(tab).to_be_focused()
        await expect(page.locator("[data-tab][aria-selected=true]")).to_have_attribute("data-tab", name)
        await expect(page.locator("[data-tab][tabindex='0']")).to_have_attribute("data-tab", name)
        for other in names:
            await expect(page.locator(f"[data-panel={other}]")).to_be_visible(visible=other == name)


async def test_open_table_follows_the_numbers(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, LOGIN)
    await panel(page).locator("[data-card=browsers] [data-toggle]").click()
    row = panel(page).locator("[data-card=browsers] tbody tr")
    await expect(row).to_have_text("Opera1100.0%")
    await post(page, LOGIN)
    await expect(row).to_have_text("Opera2100.0%")
    await expect(panel(page).locator("[data-card=browsers] [data-toggle]")).to_have_attribute("aria-pressed", "true")


async def test_downloaded_file_holds_the_rows_of_the_card_and_no_formula(start: Start, visit: Visits) -> None:
    """Numbers as they are; a text that a spreadsheet would run is quoted."""
    page = await visit((await start()).make_url("/"))
    await post(page, *SOME)
    await shows_logins(page, len(SOME))
    stats = await (await page.request.get("/logins/stats")).json()
    for card, expected in CARDS.items():
        async with page.expect_download() as downloading:
            await panel(page).locator(f"[data-card={card}] [data-export]").click()
        download = await downloading.value
        assert re.fullmatch(rf"logins-{card}-\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.csv", download.suggested_filename)
        with Path(await download.path()).open(newline="", encoding="utf-8") as file:
            headings, *lines = csv.reader(file, strict=True)
        assert headings[0] in ("Day (UTC)", "Device", "Region", "Hour (UTC)", "Browser")
        assert [[read(cell) for cell in line] for line in lines] == [
            [inert(value) for value in row] for row in expected(stats)
        ]


def read(cell: str) -> str | float | None:
    """A cell of a file: a number where it is one."""
    return float(cell) if re.fullmatch(r"-?[\d.]+", cell) else cell or None


def inert(value: Any) -> Any:
    """What stands in a file for a value."""
    return f"'{value}" if isinstance(value, str) and value[0] in "=+-@" else value


async def test_hostile_name_is_text_and_nothing_else(start: Start, visit: Visits) -> None:
    name = "<img src=/x onerror=alert(1)><script>alert(2)</script>&lt;b&gt;"
    page = await visit((await start()).make_url("/"))
    await post(page, {**LOGIN, "region": name, "device_type": name, "browser": name})
    await shows_logins(page, 1)
    await expect(panel(page).locator("[data-card=devices] .legend-name")).to_have_text(name)
    await open_tables(page)
    for card in ("devices", "regions", "browsers", "sessions"):
        await expect(panel(page).locator(f"[data-card={card}] tbody th").first).to_have_text(name)
    assert await page.locator("main :is(img, script, b)").count() == 0
