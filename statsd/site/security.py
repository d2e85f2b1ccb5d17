"""The security of an operation in the OpenAPI document: what a caller may send, and what follows from its access."""

from collections.abc import Sequence
from itertools import combinations

from statsd.accounts import session
from statsd.settings import WAYS_IN
from statsd.site.schemas import Schema
from statsd.web.asked import IN_QUERY
from statsd.web.operation import Guard, Operation

TOKEN = Guard(
    "token",
    {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token (`stl_…`), made by `python -m statsd token add`.",
    },
)
LINK = Guard(
    "link",
    {"type": "apiKey", "in": "query", "name": IN_QUERY, "description": "The secret of a share link (`shl_…`)."},
)
ALTERNATIVES = (*session.GUARDS, TOKEN, LINK)


def may_refuse(operation: Operation, view: str) -> bool:
    """Whether the check in front of the handler refuses some requests, at least with some settings."""
    return operation.access not in ("open", "user", "ingest") or (operation.access == "ingest" and view in WAYS_IN)


def security(operation: Operation, view: str) -> list[Schema]:
    """Return the alternatives, as Security Requirement Objects. An empty one: with some settings, nothing is needed."""
    names: list[tuple[str, ...]] = []
    match operation.access:
        case "open":
            pass
        case "user":
            names = [(guard.name,) for guard in operation.guards]
        case "ingest":
            token = [(TOKEN.name,)] if view in WAYS_IN else []
            *sets, none = _sets(operation.guards)
            names = [*sets, *token, none]
        case access:
            names = [(guard.name,) for guard in (*session.GUARDS, TOKEN)]
            names += [(LINK.name,)] * (operation.shared != "no") + [()] * (access in ("read", "metrics"))
    return [{name: [] for name in alternative} for alternative in names]


def _sets(guards: Sequence[Guard]) -> list[tuple[str, ...]]:
    """Return each set of the guards that settings may require, from all to none."""
    names = [guard.name for guard in guards]
    return [chosen for size in range(len(names), -1, -1) for chosen in combinations(names, size)]
