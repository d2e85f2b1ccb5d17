"""`token`: add, list or revoke the API tokens of programs."""

import argparse
import sys

from statsd.accounts.access import ANNOUNCEMENT
from statsd.accounts.keys import MOST_DAYS, SCOPES, Keys
from statsd.commands import tables
from statsd.commands.connection import connected
from statsd.errors import StatsError
from statsd.settings import Settings

EXAMPLE = "token add grafana --scope read --days 90"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add", "list", "revoke"], help="add prints the token, once")
    parser.add_argument("name", nargs="?", help="name of the token, for add and revoke")
    parser.add_argument("--scope", action="append", default=[], choices=SCOPES, help="for add; may be repeated")
    parser.add_argument(
        "--days", type=int, metavar="N", help=f"for add: days it is valid, 1 to {MOST_DAYS}; for ever without"
    )
    parser.add_argument("--json", action="store_true", help="for list: one JSON object per line")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.action != "list" and not arguments.name:
        raise StatsError(f"token {arguments.action} needs the name of the token")
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
