"""`token`: add, list or revoke the API tokens of programs."""

import argparse
import sys

from statsd.accounts.access import ANNOUNCEMENT
from statsd.accounts.keys import MOST_DAYS, SCOPES, Keys
from statsd.commands import tables
from statsd.commands.connection import connected
from statsd.commands.parser import whole
from statsd.errors import UsageError
from statsd.settings import Settings

EXAMPLE = "token add grafana --scope read --days 90"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add", "list", "revoke"], help="add prints the token, once")
    parser.add_argument("name", nargs="?", help="name of the token, for add and revoke")
    parser.add_argument("--scope", action="append", default=[], choices=SCOPES, help="for add; may be repeated")
    parser.add_argument(
        "--days", type=whole(1, MOST_DAYS), metavar="N", help="for add: days it is valid; for ever without"
    )
    parser.add_argument("--json", action="store_true", help="for list: one JSON object per line")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if bool(arguments.name) == (arguments.action == "list"):
        lack = "takes no name" if arguments.name else "needs the name of the token"
        raise UsageError(f"token {arguments.action} {lack}")
    if arguments.action == "add" and not arguments.scope:
        raise UsageError(f"token add needs --scope, once or more: {', '.join(SCOPES)}")
    async with connected(settings) as (pool, channel):
        keys = Keys(pool, is_link=False)
        match arguments.action:
            case "add":
                secret, _ = await keys.add(arguments.name, arguments.scope, arguments.days)
                print("send it as Authorization: Bearer …; it cannot be shown again", file=sys.stderr)
                print(secret)
            case "revoke":
                await keys.revoke(arguments.name)
                channel.announce(ANNOUNCEMENT)
                print(f"token {arguments.name} revoked", file=sys.stderr)
            case _:
                tables.show([dict(row) for row in await keys.list()], as_json=arguments.json)
