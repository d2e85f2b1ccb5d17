"""`python -m statsd` with another pace of frames, which is no setting: how fresh is the page then?

python -m tests.bench.paced SECONDS serve …
"""

from __future__ import annotations

import sys

from statsd.__main__ import run
from statsd.live import channel, topics


def main() -> None:
    seconds = float(sys.argv.pop(1))
    for module in (channel, topics):
        assert "PACE_SECONDS" in vars(module), f"{module.__name__} has no PACE_SECONDS any more"
        vars(module)["PACE_SECONDS"] = seconds
    run()


if __name__ == "__main__":
    main()
