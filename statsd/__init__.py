"""Statistics you can believe, live."""

from pathlib import Path

__version__ = "0.1.0"

DISTRIBUTION = "statsd-live"  # PyPI's `statsd` is another program under the same import name


def _home() -> Path:
    here = Path(__file__).resolve().parent
    installed = here / "data"
    return installed if (installed / "sql").is_dir() else here.parent


HOME = _home()
"""The folder that holds `sql/`, `static/` and `sample_data.sql`: the checkout, or `data/` inside an installed wheel."""
