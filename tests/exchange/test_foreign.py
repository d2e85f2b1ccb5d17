"""Page views of GoatCounter and of Plausible: what can be stored of them, and what is left out and said."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import Program
from recounts import differences

Run = Callable[..., Program]
GOATCOUNTER = """\
2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,Date
/,Home,false,,Chrome,Mac OS,a1,0,,,"1440,900,2",NL,true,2026-07-09T01:00:00Z
/,Home,false,,Chrome,Mac OS,a1,0,,,"1440,900,2",NL,false,2026-07-09T01:00:00Z
/about,"About, us",false,,Firefox,Linux,b2,0,,,,,true,2026-07-10T01:00:00+02:00
download,,true,,Firefox,Linux,b2,0,,,,,true,2026-07-10T01:00:00Z
/,Home,false,,curl,,00000000-0000-0000-0000-000000000000,7,,,,,true,2026-07-10T02:00:00Z
/,Home,false,,Firefox,Linux,00000000-0000-0000-0000-000000000000,0,,,,,true,yesterday
"""
OLD = """\
1Path,Title,Event,Bot,Session,FirstVisit,Referrer,Referrer scheme,Browser,Screen size,Location,Date
/old,Old,false,0,c3,true,,,Opera,,,2020-01-01T00:00:00Z
"""
PAGES = """\
"date","hostname","page","visits","visitors","pageviews","total_scroll_depth","total_scroll_depth_visits"
"2026-07-09","shop.example","/",3,2,4,100,2
"2026-07-10","shop.example","/",1,1,1,,
"2026-07-10","shop.example","/about",1,1,2,,
"""
PAGES_NAME = "imported_pages_20260709_20260710.csv"


async def importing(run: Run, file: Path, source: str, **environment: str) -> tuple[int, dict[str, int], str]:
    program = run(
        "import", "pageviews", str(file), "--source", source, "--site", "shop", "--json", "--quiet", **environment
    )
    return await program.ended(), json.loads(program.output() or "{}"), program.stderr


async def days(pool: Any) -> dict[str, tuple[int, int]]:
    return {str(row["day"]): (row["views"], row["users"]) for row in await pool.fetch("select * from page_days")}


async def test_goatcounter_comes_view_by_view_without_bots(
    run: Run, pool: Any, database_url: str, folder: Path
) -> None:
    file = folder / "goatcounter.csv"
    file.write_text(GOATCOUNTER)
    for stored in (4, 0):
        code, result, messages = await importing(run, file, "goatcounter", DATABASE_URL=database_url)
        assert (code, result["stored"], result["known"], result["refused"]) == (1, stored, 4 - stored, 1)
        assert "left out: 1 views of bots" in messages
        assert "line 7: timestamp must be a valid ISO 8601 date string" in messages
    assert await days(pool) == {"2026-07-09": (3, 2), "2026-07-10": (0, 1)}  # an event is no view
    events = await pool.fetch("select event_type, path, user_id from page_events where event_type <> 'page_view'")
    assert list(map(tuple, events)) == [("event", "download", "goatcounter-b2")]
    assert await differences(pool, "pageviews") == []
    file.write_text(OLD)
    code, result, _ = await importing(run, file, "goatcounter", DATABASE_URL=database_url)
    assert (code, result["stored"]) == (0, 1)


@pytest.mark.parametrize("is_zip", [True, False])
async def test_plausible_comes_as_views_of_pages_and_days(
    run: Run, pool: Any, database_url: str, folder: Path, is_zip: bool
) -> None:
    file = folder / (PAGES_NAME if not is_zip else "plausible.zip")
    if is_zip:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(PAGES_NAME, PAGES)
            archive.writestr("imported_visitors_20260709_20260710.csv", "date,visitors\n")
    else:
        file.write_text(PAGES)
    for stored in (7, 0):
        code, result, messages = await importing(run, file, "plausible", DATABASE_URL=database_url)
        assert (code, result["stored"], result["known"]) == (0, stored, 7 - stored)
        assert "left out: 3 numbers of visitors of a page on a day" in messages
    assert await days(pool) == {"2026-07-09": (4, 0), "2026-07-10": (3, 0)}
    paths = await pool.fetch("select path, sum(views)::int from page_paths group by path order by path")
    assert list(map(tuple, paths)) == [("/", 5), ("/about", 2)]
    assert await differences(pool, "pageviews") == []


async def test_later_export_of_plausible_adds_what_came_since(
    run: Run, pool: Any, database_url: str, folder: Path
) -> None:
    file = folder / PAGES_NAME
    for text, stored in ((PAGES, 7), (PAGES.replace('/about",1,1,2', '/about",2,2,5'), 3)):
        file.write_text(text)
        _, result, _ = await importing(run, file, "plausible", DATABASE_URL=database_url)
        assert result["stored"] == stored
    assert (await days(pool))["2026-07-10"] == (6, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pageviews", "FILE", "--source", "goatcounter"], 2, "needs --site"),
        (["logins", "FILE", "--source", "goatcounter", "--site", "a"], 2, "is for import pageviews"),
        (["pageviews", "FILE", "--site", "a"], 2, "--site is for --source"),
        (["pageviews", "FILE", "--source", "goatcounter", "--site", "a"], 1, "is no CSV of GoatCounter"),
        (["pageviews", "FILE", "--source", "plausible", "--site", "a"], 1, "is no page views of Plausible"),
        (["pageviews", "/nowhere", "--source", "plausible", "--site", "a"], 1, "No such file"),
    ],
)
async def test_other_files_are_refused_in_a_sentence(
    run: Run, database_url: str, folder: Path, *, arguments: list[str], code: int, says: str
) -> None:
    file = folder / "visitors.csv"
    file.write_text("date,visitors\n2026-01-01,1\n")
    program = run("import", *[str(file) if one == "FILE" else one for one in arguments], DATABASE_URL=database_url)
    assert await program.ended() == code
    assert says in program.stderr
    assert "Traceback" not in program.stderr
