"""What the page draws, and what it does not draw again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Page
from visits import Visits
from waiting import until

Start = Callable[..., Awaitable[Any]]
CHARTS = 5
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
COUNT = """() => {
    const { update } = Chart.prototype;
    window.updated = [];
    Chart.prototype.update = function (...mode) {
        updated.push(this.canvas.closest("[data-card]").dataset.card);
        return update.apply(this, mode);
    };
}"""
"""Notes the card of each chart that is drawn anew from now on."""


async def post(page: Page, **login: Any) -> None:
    answer = await page.request.post("/logins", data={**LOGIN, **login})
    assert answer.status == 201, await answer.text()


async def first_numbers(start: Start, visit: Visits) -> Page:
    """A page with a login in each of its charts."""
    page = await visit((await start()).make_url("/"))
    await post(page)
    await until(lambda: page.evaluate(f"Object.keys(Chart.instances).length === {CHARTS}"))
    return page


async def drawn(page: Page, charts: int) -> list[str]:
    """The cards of the charts that were drawn, once there are so many."""
    await until(lambda: page.evaluate(f"updated.length >= {charts}"))
    return list(await page.evaluate("updated"))


async def test_only_charts_whose_numbers_changed_are_drawn_again(start: Start, visit: Visits) -> None:
    page = await first_numbers(start, visit)
    await page.evaluate(COUNT)
    await post(page, login_time=(datetime.now(UTC) - timedelta(days=90)).isoformat())
    changed = await drawn(page, CHARTS - 1)
    assert sorted(changed) == ["browsers", "devices", "hours", "regions"]  # the trend shows the last 30 days
    await post(page)
    assert sorted(await drawn(page, 2 * CHARTS - 1)) == sorted([*changed, *changed, "trend"])


async def test_the_same_numbers_draw_nothing(start: Start, visit: Visits) -> None:
    page = await first_numbers(start, visit)
    await page.evaluate(COUNT)
    await page.evaluate("""() => {
        const { parse } = JSON;
        window.received = [];
        JSON.parse = (words) => {
            const frame = parse(words);
            received.push(frame.type);
            return frame;
        };
        window.dispatchEvent(new Event("online")); // the page subscribes again
    }""")
    await until(lambda: page.evaluate("received.includes('update')"))
    await post(page)
    changed = await drawn(page, CHARTS)
    assert len(set(changed)) == len(changed) == CHARTS


async def test_slow_drawings_get_a_frame_each(start: Start, visit: Visits) -> None:
    page = await first_numbers(start, visit)
    await page.evaluate(COUNT)
    await page.evaluate("""() => {
        const { update } = Chart.prototype;
        window.frames = new Set();
        Chart.prototype.update = function (...mode) {
            for (const until = performance.now() + 10; performance.now() < until; );
            frames.add(document.timeline.currentTime);
            return update.apply(this, mode);
        };
    }""")
    await post(page)
    await drawn(page, CHARTS)
    assert await page.evaluate("frames.size") == CHARTS
