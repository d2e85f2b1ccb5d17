"""`user`: add or remove an account, or change its password."""

import argparse
import getpass
import sys

from statsd.accounts.users import GENDERS, open_accounts, registration
from statsd.commands.connection import connected
from statsd.errors import StatsError
from statsd.settings import Settings

EXAMPLE = "user add anna --age 34 --gender Female"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add", "passwd", "remove"], help="passwd logs the user out everywhere")
    parser.add_argument("name", help="name of the user")
    parser.add_argument("--age", metavar="N", help="for add: 0 to 150")
    parser.add_argument("--gender", choices=GENDERS, help="for add")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    missing = [flag for flag in ("age", "gender") if getattr(arguments, flag) is None]
    if arguments.action == "add" and missing:
        raise StatsError(f"user add needs {' and '.join(f'--{flag}' for flag in missing)}")
    async with connected(settings) as (pool, _), open_accounts(pool) as accounts:
        match arguments.action:
            case "add":
                fields = {"username": arguments.name, "age": arguments.age, "gender": arguments.gender}
                user = await accounts.add(registration({**fields, "password": _new_password()}))
                print(f"user {user.id} added", file=sys.stderr)
            case "passwd":
                await accounts.require(arguments.name)
                await accounts.change_password(arguments.name, _new_password())
                print("password changed; all sessions of the user have ended", file=sys.stderr)
            case _:
                await accounts.remove(arguments.name)
                print("user removed; their clicks stay in the statistics", file=sys.stderr)


def _new_password() -> str:
    """Read the password from a prompt, or from the first line of stdin.

    Not from an argument: every user of the machine can read those.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise StatsError("the two passwords differ: nothing was changed")
    return password
