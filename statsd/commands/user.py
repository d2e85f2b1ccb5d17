"""`user`: add, invite, list or remove accounts, change a role or a password."""

import argparse
import getpass
import sys

from statsd.accounts import invitations
from statsd.accounts.access import ANNOUNCEMENT
from statsd.accounts.users import GENDERS, ROLES, open_accounts, registration
from statsd.commands import tables
from statsd.commands.blocking import blocking
from statsd.commands.connection import connected
from statsd.commands.erase import remove_account
from statsd.commands.parser import whole
from statsd.errors import StatsError, UsageError
from statsd.settings import Settings

EXAMPLE = "user add anna --age 34 --gender Female"
OLDEST = 150  # years, as in a registration
ARTICLES = {"admin": "an admin", "viewer": "a viewer"}


def add(parser: argparse.ArgumentParser) -> None:
    actions = ["add", "invite", "list", "role", "passwd", "remove"]
    about = "passwd logs the user out everywhere; invite prints a link to register"
    parser.add_argument("action", choices=actions, help=about)
    parser.add_argument("name", nargs="?", help="name of the user; not for list and invite")
    parser.add_argument("new_role", nargs="?", choices=ROLES, help="for role")
    parser.add_argument("--age", type=whole(0, OLDEST), metavar="N", help=f"for add: 0 to {OLDEST}")
    parser.add_argument("--gender", choices=GENDERS, help="for add")
    parser.add_argument("--role", choices=ROLES, default="viewer", help="for add, invite: an admin may do all")
    days = whole(1, invitations.MOST_DAYS)
    parser.add_argument("--days", type=days, metavar="N", default=7, help="for invite: until the link ends")
    parser.add_argument("--json", action="store_true", help="for list: one JSON object per line")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    _require(arguments)
    async with connected(settings) as (pool, channel), open_accounts(pool) as accounts:
        match arguments.action:
            case "add":
                fields = {"username": arguments.name, "age": arguments.age, "gender": arguments.gender}
                user = await accounts.add(registration({**fields, "password": _new_password()}), arguments.role)
                print(f"user {user.id} added as {ARTICLES[user.role]}", file=sys.stderr)
            case "invite":
                secret, end = await invitations.make(pool, arguments.role, arguments.days)
                print(f"{_address(settings)}/#usage/register/{secret}")
                print(f"for one account, {ARTICLES[arguments.role]}, until {end:%Y-%m-%d %H:%M} UTC", file=sys.stderr)
            case "list":
                tables.show([dict(row) for row in await accounts.list()], as_json=arguments.json)
            case "role":
                await accounts.change_role(arguments.name, arguments.new_role)
                print(f"{arguments.name} is {ARTICLES[arguments.new_role]} now", file=sys.stderr)
            case "passwd":
                await accounts.require(arguments.name)
                await accounts.change_password(arguments.name, _new_password())
                print("password changed; all sessions of the user have ended", file=sys.stderr)
            case _:
                clicks = await remove_account(pool, settings, accounts, arguments.name)
                channel.announce("usage")
                print(f"user removed, with {clicks} clicks", file=sys.stderr)
        if arguments.action not in ("list", "invite"):
            channel.announce(ANNOUNCEMENT)


def _require(arguments: argparse.Namespace) -> None:
    """Raise UsageError for an action without what it needs, or with a name that it does not take."""
    needs = {"list": [], "invite": [], "add": ["name", "age", "gender"], "role": ["name", "new_role"]}.get(
        arguments.action, ["name"]
    )
    words = {"name": "a name", "new_role": f"a role: {' or '.join(ROLES)}", "age": "--age", "gender": "--gender"}
    if missing := [words[field] for field in needs if getattr(arguments, field) is None]:
        raise UsageError(f"user {arguments.action} needs {' and '.join(missing)}")
    if surplus := [field for field in ("name", "new_role") if getattr(arguments, field) and field not in needs]:
        raise UsageError(f"user {arguments.action} takes no {surplus[0].removeprefix('new_')}")


def _address(settings: Settings) -> str:
    """Return the address of the server, as far as the settings know it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return settings.public_url or f"http://{host}:{settings.port}"


def _new_password() -> str:
    """Read the password from a prompt, or from the first line of stdin.

    Not from an argument: every user of the machine can read those.
    """
    with blocking:
        if sys.stdin.isatty():
            password = getpass.getpass("New password: ")
            again = getpass.getpass("Again: ")
        else:
            password = again = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise StatsError("the password is empty: type it, or give it as the first line of stdin")
    if again != password:
        raise StatsError("the two passwords differ: nothing was changed")
    return password
