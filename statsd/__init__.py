"""Statistics you can believe, live: events in over HTTP, durable and counted exactly once, on every dashboard at once.

`app.py` wires everything; README has the map of the folders and the way of an event.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

DISTRIBUTION = "statsd-live"  # PyPI's `statsd` is another program under the same import name

_HERE = Path(__file__).resolve().parent
HOME = _HERE / "data" if (_HERE / "data" / "sql").is_dir() else _HERE.parent
"""The folder that holds `sql/`, `static/` and `sample_data.sql`: the checkout, or `data/` inside an installed wheel."""


def program() -> str:
    """Return the words that start this program, as it was started: for hints of what to run next."""
    return "statsd-live" if Path(sys.argv[0]).stem == "statsd-live" else "python -m statsd"
