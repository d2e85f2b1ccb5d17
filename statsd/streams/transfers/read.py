"""Reading items, their owners and their history; owners and base items; the overview."""

import re
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest, InvalidEvent
from statsd.live.topics import HUB
from statsd.streams.transfers import answers
from statsd.streams.transfers.errors import NO_SUCH_ITEM
from statsd.web.answers import InvalidPayload, Refusal, json_response, struct_of
from statsd.web.asked import limit, parameters
from statsd.web.operation import Answer, Operation, Parameter, Shared

MOST_ROWS = 1_000  # of a page, and of an item's history
CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
UUID_RULE = "a UUID, such as 8645a131-a7ae-4569-bb3c-1f1c7ae86829"
ITEM_ID = "the id of an item"  # the subject of a fault
QUERIES, ITEM_QUERIES = sql.load("transfers"), sql.load("items")

IN_PATH = {"item": Parameter(UUID, "the id of an item", example=answers.ITEM)}
PAGES = {
    "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how many rows", default=50),
    "before": Parameter(UUID, "the `next` of the previous page"),
}


def _pages(page: msgspec.Struct, shared: Shared = "no") -> Operation:
    return Operation(
        origins="any",
        shared=shared,
        detailed=True,
        query=PAGES,
        answers={200: Answer("newest first", type(page), page=page)},
    )


@_pages(answers.ItemPage([answers.OWNED], answers.ITEM), "own")
async def get_items(request: web.Request) -> web.Response:
    """List the newest items with their owners."""
    rows, next_id = await _page(request, "items", ITEM_QUERIES["page"], ITEM_QUERIES["find"])
    return json_response(answers.ItemPage([struct_of(answers.ListedItem, row) for row in rows], next_id))


@_pages(answers.OwnerPage([answers.ADA], answers.ADA.id))
async def get_owners(request: web.Request) -> web.Response:
    """List the newest owners."""
    rows, next_id = await _page(request, "owners", QUERIES["owners"], QUERIES["owner"])
    return json_response(answers.OwnerPage([struct_of(answers.Owner, row) for row in rows], next_id))


@_pages(answers.BaseItemPage([answers.BIKE], answers.BIKE.id))
async def get_base_items(request: web.Request) -> web.Response:
    """List the newest base items."""
    rows, next_id = await _page(request, "base_items", QUERIES["base_items"], QUERIES["base_item"])
    return json_response(answers.BaseItemPage([struct_of(answers.BaseItem, row) for row in rows], next_id))


async def _page(request: web.Request, name: str, page: str, find: str) -> tuple[Sequence[asyncpg.Record], UUID | None]:
    """Return the rows of a page, and the `before` of the next page if there is one."""
    query = parameters(request)
    size = limit(query, 50, MOST_ROWS)
    try:
        before = uuid(query["before"], "before") if "before" in query else None
    except InvalidEvent as error:
        raise BadRequest(400, str(error)) from None
    pool = request.app[POOL]
    rows = await ask(name, pool.fetch(page, size + 1, before))
    if before and not rows and not await ask(name, pool.fetchrow(find, before)):
        raise BadRequest(400, "before: must be the `next` of a previous page")
    return rows[:size], rows[size - 1]["id"] if len(rows) > size else None


@Operation(
    origins="any",
    shared="own",
    detailed=True,
    path=IN_PATH,
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "how many transfers", default=100)},
    answers={
        200: Answer("the item", answers.ItemWithHistory),
        400: Answer("invalid id or parameter", InvalidPayload, Refusal),
        404: "no such item",
    },
)
async def get_item(request: web.Request) -> web.Response:
    """Get an item with its owner and its newest transfers.

    The owner is that of the newest transfer. If another program inserted that transfer, lists of items show the new
    owner only after the next aggregation.
    """
    id = uuid(request.match_info["item"], ITEM_ID)
    size = limit(parameters(request), 100, MOST_ROWS)
    rows = await ask("items", request.app[POOL].fetch(ITEM_QUERIES["history"], id, size))
    if not rows:
        raise BadRequest(404, NO_SUCH_ITEM)
    history = [
        struct_of(answers.Move, {**row, "id": row["transfer_id"]}) for row in rows if row["transfer_id"] is not None
    ]
    item = {**rows[0], "owned_since": rows[0]["timestamp"], "history": history}
    return json_response(struct_of(answers.ItemWithHistory, item))


def uuid(text: str, name: str) -> UUID:
    """Return the UUID in a text. Raises InvalidEvent unless it is written with dashes."""
    if not CANONICAL.fullmatch(text):
        raise InvalidEvent([f"{name} must be {UUID_RULE}"])
    return UUID(text)


@Operation(origins="any", shared="own", detailed=True, answers={200: Answer("the overview", answers.TransfersOverview)})
async def get_overview(request: web.Request) -> web.Response:
    """Get the newest items, transfers, owners and base items.

    This is the payload of the topic `transfers` on `/ws`.
    """
    return json_response((await request.app[HUB].topics["transfers"].snapshot()).payload)
