from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigProblem, Document, Place, problem_from_json, problem_to_json
from gateway_core.config.sources import WatchSet
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.verdict import Verdict, read_job, read_verdict, verdict_fields, write_job

PROBLEM = ConfigProblem(Place("g.yaml", 3, 7), "routes[0].target", "is wrong", "  target: x", code="value.invalid")
GOOD = ConfigBundle("v1", (b'{"a": 1}', b'{"b": 2}'), 4, {"auth": "1.0"})


def test_a_problem_survives() -> None:
    assert problem_from_json(problem_to_json(PROBLEM)) == PROBLEM


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(WatchSet.of(["/a", "/b"], ["/c"]), GOOD),
        Verdict(WatchSet.of(["/a"]), problems=(PROBLEM, PROBLEM)),
    ],
)
def test_a_verdict_survives(verdict: Verdict) -> None:
    lines = () if verdict.bundle is None else verdict.bundle.lines

    assert read_verdict(verdict_fields(verdict), lines) == verdict


@pytest.mark.parametrize(
    ("fields", "lines"),
    [({}, 2), (verdict_fields(Verdict(WatchSet(), GOOD)), 1), ({"files": [], "directories": [], "lines": 0}, 0)],
)
def test_a_verdict_that_breaks_off_is_refused(fields: dict[str, Any], lines: int) -> None:
    with pytest.raises(ValueError, match=r"lines of|a verdict without"):
        read_verdict(fields, GOOD.lines[:lines])


def test_a_job_survives_with_the_rights_of_its_documents() -> None:
    documents = (Document("a", "routes: []"), Document("b", "x", rights=frozenset({"env"})))

    assert read_job(write_job([Path("/g.yaml")], documents)) == ((Path("/g.yaml"),), documents)
