"""Reading items: who owns what, and how that came about; owners and base items, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest, InvalidEvent
from statsd.live.topics import HUB
from statsd.streams.transfers.answers import (
    ADA,
    BIKE,
    GRACE,
    HISTORY,
    ITEM,
    NO_HISTORY,
    OVERVIEW,
    OWNED,
    UNOWNED,
    BaseItem,
    BaseItemPage,
    ItemPage,
    ItemWithHistory,
    ListedItem,
    Move,
    Owner,
    OwnerPage,
    TransfersOverview,
)
from statsd.streams.transfers.errors import NO_SUCH_ITEM
from statsd.web.answers import InvalidPayload, Refusal, json_response, struct_of
from statsd.web.asked import limit, parameters
from statsd.web.operation import Operation, Parameter, answer

MOST_ROWS = 1_000  # of one page of items or owners, and of an item's history
CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
UUID_RULE = "a UUID, such as 8645a131-a7ae-4569-bb3c-1f1c7ae86829"
ITEM_ID = "the id of an item"  # in the words of a fault
QUERIES, ITEM_QUERIES = sql.load("transfers"), sql.load("items")

NO_ID = InvalidPayload("Invalid payload", [f"{ITEM_ID} must be {UUID_RULE}"])
IN_PATH = {"item": Parameter(UUID, "the id of an item", example=ITEM)}
PAGES = {
    "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how many", default=50),
    "before": Parameter(UUID, "the `next` of the previous page"),
}


def _pages(page: msgspec.Struct) -> Operation:
    last = msgspec.structs.replace(page, next=None)
    return Operation(
        origins="any", query=PAGES, answers={200: answer("newest first", type(page), page=page, last=last)}
    )


@_pages(ItemPage([OWNED, UNOWNED], ITEM))
async def get_items(request: web.Request) -> web.Response:
    """List the newest items with their owners.

    For the next page, send the answer's `next` as `before`.
    """
    rows, following = await _page(request, "items", ITEM_QUERIES["page"], ITEM_QUERIES["find"])
    return json_response(ItemPage([struct_of(ListedItem, row) for row in rows], following))


@_pages(OwnerPage([ADA, GRACE], GRACE.id))
async def get_owners(request: web.Request) -> web.Response:
    """List the newest owners.

    For the next page, send the answer's `next` as `before`.
    """
    rows, following = await _page(request, "owners", QUERIES["owners"], QUERIES["owner"])
    return json_response(OwnerPage([struct_of(Owner, row) for row in rows], following))


@_pages(BaseItemPage([BIKE], BIKE.id))
async def get_base_items(request: web.Request) -> web.Response:
    """List the newest base items.

    For the next page, send the answer's `next` as `before`.
    """
    rows, following = await _page(request, "base_items", QUERIES["base_items"], QUERIES["base_item"])
    return json_response(BaseItemPage([struct_of(BaseItem, row) for row in rows], following))


async def _page(request: web.Request, name: str, query: str, find: str) -> tuple[Sequence[asyncpg.Record], UUID | None]:
    """The rows of a page, and where the next one begins, if there is one."""
    asked = parameters(request, "limit", "before")
    most = limit(asked, 50, MOST_ROWS)
    before = _before(asked)
    pool = request.app[POOL]
    rows = await ask(name, pool.fetch(query, most + 1, before))
    if before and not rows and not await ask(name, pool.fetchrow(find, before)):
        raise BadRequest(400, "before: must be an id that an earlier page had")
    return rows[:most], rows[most - 1]["id"] if len(rows) > most else None


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
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how many transfers", default=100)},
    answers={
        200: answer("the item", ItemWithHistory, owned=HISTORY, unowned=NO_HISTORY),
        400: answer("invalid id or parameter", InvalidPayload, Refusal, id=NO_ID),
        404: "no such item",
    },
)
async def get_item(request: web.Request) -> web.Response:
    """Get an item with its owner and its newest transfers.

    The owner is that of the newest transfer, also where another program inserted it; lists show such an owner after the
    next aggregation.
    """
    id = item_id(request)
    most = limit(parameters(request, "limit"), 100, MOST_ROWS)
    rows = await ask("items", request.app[POOL].fetch(ITEM_QUERIES["history"], id, most))
    if not rows:
        raise BadRequest(404, NO_SUCH_ITEM)
    history = [struct_of(Move, {**row, "id": row["transfer_id"]}) for row in rows if row["transfer_id"] is not None]
    item = {**rows[0], "owned_since": rows[0]["timestamp"], "history": history}
    return json_response(struct_of(ItemWithHistory, item))


def item_id(request: web.Request) -> UUID:
    """Return the id in the path. Raises InvalidEvent for what is no UUID."""
    return uuid(request.match_info["item"], ITEM_ID)


def uuid(given: str, name: str) -> UUID:
    """Return a UUID that is written with its dashes. Raises InvalidEvent."""
    if not CANONICAL.fullmatch(given):
        raise InvalidEvent([f"{name} must be {UUID_RULE}"])
    return UUID(given)


@Operation(
    origins="any",
    answers={
        200: answer(
            "the overview",
            TransfersOverview,
            overview=OVERVIEW,
            crowded=msgspec.structs.replace(OVERVIEW, owner_count=None),
        )
    },
)
async def get_overview(request: web.Request) -> web.Response:
    """Get the newest items, transfers, owners and base items.

    This is the payload of the topic `transfers` on `/ws`.
    """
    return json_response((await request.app[HUB].topics["transfers"].snapshot()).payload)
