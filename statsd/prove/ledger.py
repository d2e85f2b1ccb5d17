"""What clients sent, and what was acknowledged.

Each event has a mark that is stored with it. In most streams it belongs to one event. Where events have no room for
one, it is what all events of a client have in common: the user of clicks, the base item of items, the item of
transfers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass
class Account:
    """The events of one stream."""

    sent: Counter[str] = field(default_factory=Counter)
    """The number of events sent with each mark; a repeat under the same key is not another event."""
    acknowledged: Counter[str] = field(default_factory=Counter)
    """The number of events with each mark that were answered with success."""
    ids: set[str] = field(default_factory=set)
    """The ids of acknowledged events, as far as answers have them."""
    refused: int = 0
    """Requests that were answered 503 or 429: nothing was acknowledged."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """Answers that no fault explains, such as a status of 500."""

    def send(self, marks: Iterable[str]) -> None:
        self.sent.update(marks)

    def acknowledge(self, marks: Iterable[str], ids: Sequence[str]) -> None:
        self.acknowledged.update(marks)
        self.ids.update(ids)


class Ledger:
    """The accounts of all streams, by name."""

    def __init__(self) -> None:
        self.accounts: defaultdict[str, Account] = defaultdict(Account)

    @property
    def acknowledged(self) -> int:
        return sum(account.acknowledged.total() for account in self.accounts.values())

    @property
    def refused(self) -> int:
        return sum(account.refused for account in self.accounts.values())
