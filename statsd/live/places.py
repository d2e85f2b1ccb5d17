"""How many live connections a server and a client may have, and how fast a client may send messages."""

from collections import Counter
from collections.abc import Sequence

from statsd.errors import BadRequest
from statsd.settings import Network
from statsd.web.addresses import client_network, is_within

MOST = 10_000  # of each kind
MOST_PER_ADDRESS = 100  # enough for a company behind one address; stops a program that leaks connections
# The page sends a message every 20 s and one for each choice of a tab; a person cannot use up the burst.
MESSAGES_PER_SECOND = 20
BURST = 100


class Places:
    """The places for connections of one kind, in all and per client network; `exempt` networks have no limit of their
    own.
    """

    def __init__(self, kind: str, exempt: Sequence[Network] = ()) -> None:
        self._kind = kind
        self._exempt = exempt
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, address: str) -> None:
        """Take a place for a client. Raises BadRequest (503) if there is none."""
        if self._total >= MOST:
            raise BadRequest(503, f"{MOST} {self._kind} are open already: try again later")
        network = client_network(address)
        if self._taken[network] >= MOST_PER_ADDRESS and not is_within(address, self._exempt):
            raise BadRequest(503, f"{MOST_PER_ADDRESS} {self._kind} are open from your address already: close some")
        self._taken[network] += 1
        self._total += 1

    def give_back(self, address: str) -> None:
        """Give back the place of a client that took one."""
        network = client_network(address)
        self._taken[network] -= 1
        if not self._taken[network]:
            del self._taken[network]
        self._total -= 1


class Bucket:
    """A token bucket: `BURST` messages at once, then `MESSAGES_PER_SECOND`."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0  # when it will be full again, in seconds of the event loop

    def take(self, now: float) -> bool:
        """Take a token; return False if there is none."""
        self._full_at = max(self._full_at, now) + 1 / MESSAGES_PER_SECOND
        return self._full_at - now <= BURST / MESSAGES_PER_SECOND
