"""`python -m tests.bench`: run parts of the suite, or write a run's results onto the page."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from pathlib import Path

from . import page, results, wrk
from .installed import Installed, install
from .parts import ABOUT, PARTS
from .run import Run, allow_many_files, has_disk


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to run, by default all; see --list")
    parser.add_argument("--list", action="store_true", help="list the parts, and end")
    parser.add_argument("--peers", action="store_true", help="install peers from npm and PyPI, and measure them, too")
    parser.add_argument("--quick", action="store_true", help="a short run to try the suite: its figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the results in FILE onto the page, and end")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of each part, by default 3")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}: must be of {', '.join(PARTS)}")
    return options


async def run_parts(options: argparse.Namespace, found: results.Results, peers: Installed | None) -> None:
    for part in options.parts or PARTS:
        print(f"{part}: {ABOUT[part]}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="statsd-bench-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            folder.chmod(0o755)  # as root, PostgreSQL runs as a user who must pass through
            try:
                await PARTS[part](Run(part, folder, found, peers, options.rounds))
            except Exception as error:  # the other parts are worth having
                traceback.print_exc()
                found.leave_out(f"{part}, which failed: {error!r}")
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def main() -> None:
    options = parse(sys.argv[1:])
    if options.list:
        for part, about in ABOUT.items():
            print(f"{part:<10} {about}")
        return
    if options.page:
        page.write(results.load(options.page))
        return
    if not wrk.is_installed():
        sys.exit(wrk.MISSING)
    if not has_disk():
        sys.exit(f"{tempfile.gettempdir()} must have 5 GiB free for a while: set TMPDIR to a folder on another disk")
    allow_many_files()
    found = results.Results(options.quick)
    print(", ".join(f"{name} {value}" for name, value in found.machine.items()))
    if options.quick:
        print("shortened: these figures mean nothing")
    try:
        asyncio.run(run_parts(options, found, install() if options.peers else None))
    finally:
        if options.json:
            options.json.write_text(results.to_json(found))
    missed = [row for row in found.rows if row.verdict == "missed"]
    aimed = [row for row in found.rows if row.aim]
    print(f"{len(aimed) - len(missed)} of {len(aimed)} aims met")
    for row in missed:
        print(results.show_row(row))


if __name__ == "__main__":
    main()
