"""`prove`: break a scratch server while it is loaded, and look for every event that it acknowledged."""

import argparse
import asyncio
import random
import sys
import time

from statsd.errors import StatsError
from statsd.prove.audit import audit
from statsd.prove.faults import Fault
from statsd.prove.load import Load
from statsd.prove.plan import Step, plan
from statsd.prove.report import Made, Report
from statsd.prove.scratch import Scratch, scratch
from statsd.settings import Settings

EXAMPLE = "prove --minutes 3 --seed 42"

MOST_MINUTES = 1440.0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=_minutes, default=1.0, metavar="N", help="about how long the faults go on")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed makes the same plan of faults")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"must be above 0, and at most {MOST_MINUTES:g}")
    return minutes


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Print the result. Raises StatsError if anything was lost, doubled or counted wrong.

    Database, spool and port are scratch ones: those of the settings are not touched.
    """
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 31)
    report = Report(seed, arguments.minutes)
    steps = plan(seed, 60 * arguments.minutes)
    with scratch() as broken:
        _say(f"seed {seed}: {len(steps)} faults in about {arguments.minutes:g} min, in {broken.folder}; Ctrl-C ends it")
        await _prove(broken, steps, report)
    print(report.json() if arguments.json else report.table())
    if not report.is_right:
        raise StatsError("not everything held: see above")


async def _prove(broken: Scratch, steps: list[Step], report: Report) -> None:
    await broken.start()
    load = Load(broken.addresses)
    await load.prepare()
    began = time.monotonic()
    async with load.running() as ledger:
        for step in steps:
            if lack := step.fault.lacks(broken):
                report.left_out[step.fault.about] = lack
                continue
            await asyncio.sleep(step.pause)
            report.faults.append(await _make(step.fault, broken, began))
            _say(f"{_clock(time.monotonic() - began)} {ledger.acknowledged:9,} events acknowledged")
    _say("the load has ended: waiting until nothing is left on disk, then counting")
    await broken.settle()
    async with broken.connected() as connection:
        report.findings = await audit(connection, ledger)
    await broken.stop()


async def _make(fault: Fault, broken: Scratch, began: float) -> Made:
    at = time.monotonic() - began
    _say(f"{_clock(at)} {fault.about}")
    await fault.run(broken)
    return Made(round(at, 1), round(time.monotonic() - began - at, 1), fault.about)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):3}:{int(seconds % 60):02}"
