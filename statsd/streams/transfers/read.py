"""Reading items (contracts.md §4): who owns what, and how that came about; owners and base items, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest, InvalidEvent
from statsd.live.topics import HUB
from statsd.streams.transfers.errors import NO_SUCH_ITEM
from statsd.web.answers import json_response
from statsd.web.asked import limit, parameters
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import iso

MOST_ROWS = 1_000  # of one page of items or owners, and of an item's history
CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
UUID_RULE = "a UUID, such as 8645a131-a7ae-4569-bb3c-1f1c7ae86829"
ITEM_ID = "the id of an item"  # in the words of a fault
QUERIES, ITEM_QUERIES = sql.load("transfers"), sql.load("items")

# What openapi.json shows: the rows of `seed --transfers`.
BIKE, LEGO = "8645a131-a7ae-4569-bb3c-1f1c7ae86829", "77a09016-e314-419d-a779-274daa77281f"
ADA, GRACE = "30f6df32-03cf-4779-833b-aef9b1e3f61f", "d29fcf2a-9611-44bf-8c78-4c939c96539c"
ITEM = "850bbe50-4686-4026-9de0-94ba4b8bafa7"
WHEN = "2026-11-21T10:30:00.000Z"
MADE = {"id": ITEM, "base_item_id": BIKE, "created_at": WHEN}
OWNED = {**MADE, "description": "a bike", "owner_id": ADA, "owner_name": "Ada", "owned_since": WHEN}
UNOWNED = {**OWNED, "owner_id": None, "owner_name": None, "owned_since": None}
MOVE = {"id": "01a2105e-a6a6-781b-95ab-5b9788c5ad59", "owner_id": ADA, "owner_name": "Ada", "timestamp": WHEN}
NAMELESS = {"owner_name": None}
IN_PATH = {"item": Parameter(UUID, "the id of an item", example=ITEM)}
PAGES = {
    "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how many", default=50),
    "before": Parameter(UUID, "what the page before called `next`"),
}


def _pages(name: str, *rows: dict[str, Any]) -> Operation:
    page = {name: list(rows), "next": rows[0]["id"]}
    return Operation(
        origins="any", query=PAGES, answers={200: answer("the newest first", page=page, last={**page, "next": None})}
    )


@_pages("items", OWNED, UNOWNED)
async def get_items(request: web.Request) -> web.Response:
    """`GET /items?limit=50&before=ID`: the newest items with their owners, or those before one of them.

    `next` is what to ask for as `before` next, null on the last page.
    """
    return await _page(request, "items", ITEM_QUERIES["page"], ITEM_QUERIES["find"])


@_pages("owners", {"id": ADA, "name": "Ada", "created_at": WHEN}, {"id": GRACE, "name": None, "created_at": WHEN})
async def get_owners(request: web.Request) -> web.Response:
    """`GET /owners?limit=50&before=ID`: as `GET /items`."""
    return await _page(request, "owners", QUERIES["owners"], QUERIES["owner"])


@_pages("base_items", {"id": BIKE, "description": "a bike", "created_at": WHEN})
async def get_base_items(request: web.Request) -> web.Response:
    """`GET /base-items?limit=50&before=ID`: as `GET /items`."""
    return await _page(request, "base_items", QUERIES["base_items"], QUERIES["base_item"])


async def _page(request: web.Request, name: str, query: str, find: str) -> web.Response:
    asked = parameters(request, "limit", "before")
    most = limit(asked, 50, MOST_ROWS)
    before = _before(asked)
    pool = request.app[POOL]
    rows = await ask(name, pool.fetch(query, most + 1, before))
    if before and not rows and not await ask(name, pool.fetchrow(find, before)):
        raise BadRequest(400, "before: must be an id that an earlier page had")
    page = [body(row) for row in rows[:most]]
    return json_response({name: page, "next": page[-1]["id"] if len(rows) > most else None})


def _before(asked: Mapping[str, str]) -> UUID | None:
    if "before" not in asked:
        return None
    try:
        return uuid(asked["before"], "before")
    except InvalidEvent as wrong:
        raise BadRequest(400, str(wrong)) from None


@Operation(
    origins="any",
    path=IN_PATH,
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how much history", default=100)},
    answers={
        200: answer(
            "the item", owned={**OWNED, "history": [MOVE, {**MOVE, **NAMELESS}]}, unowned={**UNOWNED, "history": []}
        ),
        404: "there is no such item",
    },
)
async def get_item(request: web.Request) -> web.Response:
    """`GET /items/{id}?limit=100`: an item with its owner and its newest transfers in `history`; 404.

    The owner is that of the newest transfer, other programs' included, which lists have after the next aggregation.
    """
    id = item_id(request)
    most = limit(parameters(request, "limit"), 100, MOST_ROWS)
    rows = await ask("items", request.app[POOL].fetch(ITEM_QUERIES["history"], id, most))
    if not rows:
        raise BadRequest(404, NO_SUCH_ITEM)
    latest = rows[0]
    item = {
        name: latest[name] for name in ("id", "base_item_id", "description", "created_at", "owner_id", "owner_name")
    }
    history = [_move(row) for row in rows if row["transfer_id"] is not None]
    return json_response({**body({**item, "owned_since": latest["timestamp"]}), "history": history})


def _move(row: asyncpg.Record) -> dict[str, Any]:
    return body({"id": row["transfer_id"], **{name: row[name] for name in ("owner_id", "owner_name", "timestamp")}})


def item_id(request: web.Request) -> UUID:
    """Return the id in the path. Raises InvalidEvent for what is no UUID."""
    return uuid(request.match_info["item"], ITEM_ID)


def uuid(given: str, name: str) -> UUID:
    """Return a UUID that is written with its dashes. Raises InvalidEvent."""
    if not CANONICAL.fullmatch(given):
        raise InvalidEvent([f"{name} must be {UUID_RULE}"])
    return UUID(given)


def body(record: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    """Return a row as clients read it."""
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in record.items()}


OVERVIEW = {
    "itemCount": 1, "transferCount": 1, "items": [OWNED, UNOWNED],
    "transfers": [{**MOVE, "item_id": ITEM, "description": "a bike"}],
    "owners": [{"id": ADA, "name": "Ada"}, {"id": GRACE, "name": None}], "ownerCount": 2,
    "baseItems": [{"id": BIKE, "description": "a bike"}], "generatedAt": WHEN,
}  # fmt: skip


@Operation(
    origins="any",
    answers={
        200: answer(
            "the newest 50 items and transfers, 100 owners and base items; owners are counted up to 10,000",
            overview=OVERVIEW,
            crowded={**OVERVIEW, "ownerCount": None},
        )
    },
)
async def get_overview(request: web.Request) -> web.Response:
    """`GET /transfers`: the newest items, transfers, owners and base items; the payload of the topic `transfers`."""
    return json_response((await request.app[HUB].topics["transfers"].snapshot()).payload)
