"""The page about speed and README's line about it, written from the results of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from .results import ROOT, Cost, Results, Row, show_aim, show_figure, show_number

PAGE = ROOT / "static" / "docs" / "speed.html"
README = ROOT / "README.md"
HEADLINES = (
    (
        "one by one, 256 connections, of bare aiohttp",
        "one by one over 256 connections {} times the requests of a bare aiohttp handler",
    ),
    ("stored per second, of Express + Bull + Redis", "{} times the events that Express + Bull + Redis stores"),
    (
        "arrays of 1,000, of unnest + totals by one connection",
        "in arrays {} times the rows of a plain `unnest` with totals",
    ),
)


def write(results: Results) -> None:
    """Replace what is between the markers of the page, and of README."""
    tables = {"machine": machine, "aims": aims, "costs": costs, "more": more}
    for name, make in tables.items():
        replace(PAGE, name, "\n" + "\n".join(make(results)) + "\n    ")
    if line := headline(results):
        replace(README, "speed", line)


def replace(path: Path, name: str, text: str) -> None:
    """Put the text between `<!--name-->` and `<!--/name-->`."""
    pattern = rf"(?<=<!--{name}-->).*?(?=<!--/{name}-->)"
    written, count = re.subn(pattern, lambda _: text, path.read_text(), flags=re.DOTALL)
    assert count == 1, f"{path.name}: must have one pair of markers <!--{name}-->"
    path.write_text(written)


def machine(results: Results) -> Iterable[str]:
    machine = results.machine
    shortened = " <strong>The run was shortened: these figures mean nothing.</strong>" if results.shortened else ""
    yield (
        f"    <p>Measured on {escape(machine['date'])}: {escape(machine['processor'])}, {escape(machine['memory'])},"
        f" {escape(machine['system'])}, Python {escape(machine['python'])}, commit {escape(machine['commit'])}, load"
        f" {escape(machine['load'])}.{shortened}</p>"
    )
    if results.left_out:
        yield "    <p>Not measured in this run:</p>"
        yield f"    <ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in results.left_out)}</ul>"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterable[str]:
    cell = '<th scope="col">{}</th>'
    yield '    <div class="wide"><table>'
    yield f"      <thead><tr>{''.join(cell.format(escape(head)) for head in heads)}</tr></thead>"
    yield "      <tbody>"
    for row in rows:
        yield f"        <tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "      </tbody>"
    yield "    </table></div>"


def named(row: Row) -> str:
    return f"{row.name} ({row.note})" if row.note else row.name


def figure(row: Row) -> str:
    return unbroken(show_figure(row.figure, row.unit))


def unbroken(text: str) -> str:
    """A number and its unit on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def spread(row: Row) -> str:
    return f"{show_number(min(row.rounds))} to {show_number(max(row.rounds))}" if len(row.rounds) > 1 else ""


def aims(results: Results) -> Iterable[str]:
    rows = [row for row in results.rows if row.aim]
    cells = [(named(row), figure(row), spread(row), unbroken(show_aim(row)), row.verdict) for row in rows]
    return table(("What", "Median", "Rounds", "Aim", ""), cells)


def costs(results: Results) -> Iterable[str]:
    return table(
        ("Part", "Who", "Events/s", "Stored/s", "p99", "CPU per event"), [cost_cells(cost) for cost in results.costs]
    )


def cost_cells(cost: Cost) -> Iterable[str]:
    stored = "" if cost.stored is None else show_number(cost.stored)
    p99 = "" if cost.p99 is None else unbroken(f"{show_number(cost.p99)} ms")
    cpu = ", ".join(unbroken(f"{process} {show_number(micros)} µs") for process, micros in cost.cpu.items())
    return cost.part, cost.contestant, show_number(cost.acknowledged), stored, p99, cpu


def more(results: Results) -> Iterable[str]:
    rows = [row for row in results.rows if not row.aim]
    return table(
        ("Part", "What", "Median", "Rounds"), [(row.part, named(row), figure(row), spread(row)) for row in rows]
    )


def headline(results: Results) -> str:
    """Return README's sentence; "" if the run lacks one of its figures."""
    figures = {row.name: show_number(row.figure) for row in results.rows}
    if not all(name in figures for name, _ in HEADLINES):
        return ""
    sentence = "; ".join(words.format(figures[name]) for name, words in HEADLINES)
    day = results.machine["date"].partition(" ")[0]
    cores = results.machine["processor"].rpartition(", ")[2]
    return f"On {cores}, {day}: {sentence}."
