"""The errors of this contract: one for each constraint of the tables."""

from statsd.errors import BadRequest, InvalidEvent, StatsError

NO_SUCH_ITEM = "there is no such item"
REFUSALS = {
    "item_of_known_base_item": (422, "base_item_id: must be the id of a base item"),
    "transfer_of_known_item": (404, NO_SUCH_ITEM),
    "transfer_to_known_owner": (422, "to: must be the id of an owner"),
    "transferred_between_1970_and_2100": (
        409,
        "the item's latest transfer is dated at the end of 2099, so no transfer can follow: correct that row",
    ),
}
"""The status and the message for each violated constraint."""


def refusal(error: InvalidEvent) -> StatsError:
    """Return the error for a refused event: for a violated constraint, its status and message."""
    return BadRequest(*REFUSALS[error.rule]) if error.rule in REFUSALS else error
