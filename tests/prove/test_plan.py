"""The plan of a run, and what its report says."""

from __future__ import annotations

import json
import re
from html import unescape

from folders import ROOT

from statsd.ingest.recount import Difference
from statsd.prove.audit import Finding
from statsd.prove.faults import FAULTS
from statsd.prove.plan import plan
from statsd.prove.report import Made, Report


def test_same_seed_makes_the_same_plan() -> None:
    assert plan(7, 300) == plan(7, 300)
    assert plan(7, 300) != plan(8, 300)


def test_long_run_makes_every_fault_and_a_short_one_at_least_one() -> None:
    assert {step.fault.name for step in plan(1, 300)} == set(FAULTS)
    assert len(plan(1, 0.1)) == 1


def test_page_has_every_fault_with_its_result() -> None:
    page = (ROOT / "static/docs/survives.html").read_text()
    rows = re.findall(r"<tr><td>([^<]*)</td><td>(\d+)</td><td>.*?</td><td>0</td><td>0</td></tr>", page)
    assert [unescape(name) for name, _ in rows] == [fault.about for fault in FAULTS.values()]
    assert all(int(times) for _, times in rows)


def report(**finding: object) -> Report:
    values: dict[str, object] = {"lost": 0, "doubled": 0, "differences": [], "unexpected": {}, **finding}
    found = Finding("logins", 1_200, 1_100, 1_150, **values)  # type: ignore[arg-type]
    return Report(7, 1.0, [Made(1.0, 2.0, "kill -9"), Made(5.0, 2.0, "kill -9")], {"a full disk": "root"}, [found])


def test_report_has_the_streams_the_faults_and_their_sum() -> None:
    assert report().is_right
    assert report().table().splitlines() == [
        "stream  tried  acknowledged  stored  lost  doubled  totals",
        "logins  1,200         1,100   1,150     0        0  equal a recount",
        "",
        "  2 x kill -9",
        "left out: a full disk; it needs root",
        "",
        "2 faults, 1,100 events acknowledged: 0 lost, 0 doubled, all totals equal a recount",
    ]
    assert json.loads(report().json())["right"]


def test_whatever_is_wrong_is_in_the_report() -> None:
    difference = Difference("login_days", "2026-01-01", "(2026-01-01,2)", "(2026-01-01,3)")
    for wrong in ({"lost": 1}, {"doubled": 1}, {"differences": [difference]}, {"unexpected": {"500: oh": 2}}):
        assert not report(**wrong).is_right
    assert "1 lost, 0 doubled" in report(lost=1).table()
    assert "1 DIFFER from a recount" in report(differences=[difference]).table()
    assert "unexpected of logins: 2 x 500: oh" in report(unexpected={"500: oh": 2}).table()
