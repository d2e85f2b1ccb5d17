"""The refusals of this contract: what a broken rule of the tables means, and `details` in every one."""

from __future__ import annotations

from functools import wraps

from aiohttp import web

from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.web.errors import Handler

NO_SUCH_ITEM = "there is no such item"
REFUSALS = {
    "item_of_known_base_item": (422, "base_item_id: must be the id of a base item"),
    "transfer_of_known_item": (404, NO_SUCH_ITEM),
    "transfer_to_known_owner": (422, "to: must be the id of an owner"),
    "transferred_between_1970_and_2100": (
        409,
        "the item was transferred at the end of 2099 already, and nothing can be later: that row must be corrected",
    ),
}
"""What a broken rule of the tables means to who sent the event: a status and a sentence."""


def refusal(error: InvalidEvent) -> StatsError:
    """Return what an event that broke a rule is answered with."""
    if error.rule not in REFUSALS:
        return error
    return BadRequest(*REFUSALS[error.rule])


def detailed(handler: Handler) -> Handler:
    """Give every refusal of a handler `details`: its own, or its sentence."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequest as error:
            raise BadRequest(error.status, str(error), error.details or [str(error)]) from error

    return answer
