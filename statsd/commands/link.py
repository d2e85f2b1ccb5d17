"""`link`: add, list or revoke share links. Each shows one view to whoever has it, without a login."""

import argparse
import sys

from statsd.accounts.access import ANNOUNCEMENT
from statsd.accounts.keys import MOST_DAYS, VIEW, VIEWS, Keys, link_name
from statsd.commands import tables
from statsd.commands.connection import connected
from statsd.commands.parser import nearest, whole
from statsd.errors import UsageError
from statsd.settings import Settings

EXAMPLE = "link add pageviews --days 30 --name board-meeting"
DAYS = 30


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add", "list", "revoke"], help="add prints the link, once")
    parser.add_argument(
        "what", nargs="?", metavar="VIEW|NAME", help=f"for add one of {', '.join(VIEWS)}; for revoke a name"
    )
    parser.add_argument("--name", help="for add: by default the view and a number")
    parser.add_argument("--days", type=whole(1, MOST_DAYS), default=DAYS, metavar="N", help="for add: days it is valid")
    parser.add_argument("--json", action="store_true", help="for list: one JSON object per line")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    _require(arguments.action, arguments.what)
    async with connected(settings) as (pool, channel):
        keys = Keys(pool, is_link=True)
        match arguments.action:
            case "add":
                name = arguments.name or link_name(arguments.what)
                secret, _ = await keys.add(name, [f"{VIEW}{arguments.what}"], arguments.days)
                print(
                    f"share link {name}: add the server's address in front; it cannot be shown again", file=sys.stderr
                )
                print(f"/share/{secret}")
            case "revoke":
                await keys.revoke(arguments.what)
                channel.announce(ANNOUNCEMENT)
                print(f"share link {arguments.what} revoked", file=sys.stderr)
            case _:
                rows = [
                    {"name": row["name"], "view": row["scopes"][0].removeprefix(VIEW), **dict(row)}
                    for row in await keys.list()
                ]
                for row in rows:
                    del row["scopes"]
                tables.show(rows, as_json=arguments.json)


def _require(action: str, what: str | None) -> None:
    """Raise UsageError for an action without what it needs."""
    needed = {"add": f"a view: {', '.join(VIEWS)}", "revoke": "the name of the link"}
    if action == "list" and what:
        raise UsageError("link list takes no name")
    if action != "list" and not what:
        raise UsageError(f"link {action} needs {needed[action]}")
    if action == "add" and what not in VIEWS:
        raise UsageError(f'the view must be one of {", ".join(VIEWS)} (got "{what}"){nearest(str(what), VIEWS)}')
