"""The page `/docs/access.html`: its table names every route once, and is true of what the routes declare."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from callers import Route, routes
from folders import ROOT

from statsd.accounts.keys import SCOPES
from statsd.settings import fields
from statsd.streams.webhooks import presets

WHO = ("anybody", "viewer", "admin", "ingest token", "read token", "metrics token", "admin token", "share link")
YES, NO, LOCKED, GUARDED = "yes", "no", "unless locked", "unless guarded"
MAY = {
    "open": dict.fromkeys(WHO, YES),
    "ingest": {**dict.fromkeys(WHO, GUARDED), "ingest token": "its stream"},
    "user": {**dict.fromkeys(WHO, NO), "viewer": YES, "admin": YES},
    "read": {
        **dict.fromkeys(WHO, YES),
        **dict.fromkeys(("anybody", "ingest token", "metrics token", "share link"), LOCKED),
    },
    "login": {**dict.fromkeys(WHO, YES), **dict.fromkeys(("anybody", "ingest token", "metrics token"), NO)},
    "metrics": {**dict.fromkeys(WHO, LOCKED), **dict.fromkeys(("admin", "metrics token", "admin token"), YES)},
    "admin": {**dict.fromkeys(WHO, NO), "admin": YES, "admin token": YES},
}
SHARED = {"own": "its view", "every": "its topics"}
PAGE = (ROOT / "static/docs/access.html").read_text()


class Table(HTMLParser):
    """The rows of the first table: the routes that the first cell names, and the texts of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self._in_cell |= tag in ("td", "th")
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def rows() -> tuple[list[str], list[list[str]]]:
    table = Table()
    table.feed(PAGE[PAGE.index("<table") : PAGE.index("</table>")])
    head, *body = [[" ".join(text.split()) for text in row] for row in table.rows]
    return head, body


def cells(route: Route) -> list[str]:
    """What the table has to say about a route."""
    may = dict(MAY[route.access])
    if route.shared != "no":
        may["share link"] = SHARED[route.shared]
    return [may[who] for who in WHO]


def test_table_says_of_every_route_what_it_declares() -> None:
    head, body = rows()
    assert [name.lower() for name in head[1:]] == list(WHO)
    named = [(method, path, row[1:]) for row in body for method, path in re.findall(r"([A-Z]+) (/[^\s,]*)", row[0])]
    declared = [(route.method, route.path, cells(route)) for route in routes() if route.method != "HEAD"]
    assert sorted(named) == sorted(declared)


def test_page_names_every_scope_and_the_settings_that_lock() -> None:
    assert [scope for scope in SCOPES if f"<code>{scope}</code>" not in PAGE] == []
    names = {name for field in fields().values() for name in field.metadata["names"]}
    names |= {presets.setting(sender) for sender in presets.PRESETS}
    mentioned = set(re.findall(r"<code>((?:STATS|WEBHOOK)_[A-Z_]+)", PAGE))
    assert mentioned <= names
    assert {"STATS_REQUIRE_LOGIN", "STATS_METRICS", "STATS_REQUIRE_INGEST_TOKEN"} <= mentioned
