"""Page views of other programs: GoatCounter's CSV, and Plausible's.

GoatCounter exports views one by one. A view gets its path, its time and, as the visitor, its session: GoatCounter keeps
no visitors. Views of bots are left out, as in its own counts; an event has its name as the path, and the type `event`.

Plausible exports sums only. Of these, the views of each page on each day become single views at the start of the day,
without a visitor: a visitor is counted on every page, and again on every day, so no sum of them is a number of people.
"""

import hashlib
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from statsd.errors import StatsError
from statsd.exchange import reading
from statsd.exchange.reading import Cells, Line, Lines, csv_cells
from statsd.streams.pageviews.event import VIEW

EVENT = "event"
VERSIONS = ("1", "2")  # of GoatCounter's CSV; the header begins with it
GOATCOUNTER = ("Path", "Event", "Session", "Bot", "Date")
PLAUSIBLE = ("date", "page", "pageviews")
MOST_VIEWS = 10_000_000  # of one page on one day: a larger number is a damaged one
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_ENCODER = msgspec.json.Encoder()


@contextmanager
def opened(source: str, path: Path | None, site: str) -> Iterator[Lines]:
    """Yield the page views in a file of another program. Raises OSError, and StatsError for a file of another kind."""
    if path and source == "plausible" and zipfile.is_zipfile(path):
        with reading.whole(), zipfile.ZipFile(path) as archive, archive.open(_pages_of(archive)) as member:
            yield SOURCES[source](member, site)
    else:
        with reading.opened(path) as file:
            yield SOURCES[source](file, site)


def _pages_of(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if Path(name).name.startswith("imported_pages")]
    if len(names) != 1:
        raise StatsError(f"the ZIP must have one file imported_pages_….csv (it has {len(names)})")
    return names[0]


def goatcounter(file: IO[bytes], site: str) -> Lines:
    """Return the page views of a CSV of GoatCounter, of version 1 or 2."""
    cells = csv_cells(file)
    head, header = _header(cells)
    version, header = header[0][:1], [header[0][1:], *header[1:]]
    if version not in VERSIONS or not {*GOATCOUNTER} <= {*header}:
        raise StatsError(
            f"the file is no CSV of GoatCounter, version {' or '.join(VERSIONS)}: its header must begin with 2Path, and"
            f" have the columns {', '.join(GOATCOUNTER)}"
        )
    left_out: Counter[str] = Counter()

    def records() -> Iterator[Line]:
        for number, text, values in _named(cells, header):
            if isinstance(values, str):
                yield Line(number, text, fault=values)
            elif values["Bot"] not in ("", "0"):
                left_out["views of bots"] += 1
            else:
                yield Line(number, text, _ENCODER.encode(_view(values, site)))

    return Lines("csv", head, records(), left_out)


def _view(values: Mapping[str, str], site: str) -> dict[str, str]:
    """Return a view as sites send it, or an event of GoatCounter."""
    view = {
        "site_id": site,
        "event_type": EVENT if values["Event"].lower() == "true" else VIEW,
        "path": values["Path"],
        "timestamp": values["Date"],
    }
    return {**view, "user_id": f"goatcounter-{values['Session']}"} if values["Session"].strip("0-") else view


def plausible(file: IO[bytes], site: str) -> Lines:
    """Return the page views of the file imported_pages_….csv of an export of Plausible."""
    cells = csv_cells(file)
    head, header = _header(cells)
    if not {*PLAUSIBLE} <= {*header}:
        raise StatsError(
            "the file is no page views of Plausible: give its ZIP, or the file imported_pages_….csv in it, with the"
            f" columns {', '.join(PLAUSIBLE)}"
        )
    left_out: Counter[str] = Counter()

    def records() -> Iterator[Line]:
        for number, text, values in _named(cells, header):
            if isinstance(values, str):
                yield Line(number, text, fault=values)
                continue
            day, page, views = values["date"], values["page"], values["pageviews"]
            if not DAY.fullmatch(day) or not (views.isascii() and views.isdigit() and int(views) <= MOST_VIEWS):
                yield Line(number, text, fault="date must be a day, and pageviews a number")
                continue
            left_out["numbers of visitors of a page on a day"] += 1
            # Views are numbered: if the export was made during the day, a later export has the same ones and more.
            key = f"plausible {hashlib.sha256(_ENCODER.encode([values.get('hostname', ''), page])).hexdigest()} {day}"
            view = {"site_id": site, "event_type": VIEW, "path": page, "timestamp": f"{day}T00:00:00Z"}
            for count in range(int(views)):
                yield Line(number, text, _ENCODER.encode({**view, "event_id": f"{key} {count}"}))

    return Lines("csv", head, records(), left_out)


def _header(cells: Iterator[Cells]) -> tuple[bytes, list[str]]:
    _, head, header = next(cells, (0, b"", ""))
    if not isinstance(header, list):
        raise StatsError("the file is empty, or no CSV")
    return head, header


def _named(cells: Iterator[Cells], header: Sequence[str]) -> Iterator[tuple[int, bytes, dict[str, str] | str]]:
    for number, text, row in cells:
        if isinstance(row, str):
            yield number, text, row
        elif len(row) != len(header):
            yield number, text, f"the line has {len(row)} cells, the header has {len(header)}"
        else:
            yield number, text, dict(zip(header, row, strict=True))


SOURCES: Mapping[str, Callable[[IO[bytes], str], Lines]] = {"goatcounter": goatcounter, "plausible": plausible}
