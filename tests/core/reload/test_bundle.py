from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigProblem, Document, Place, problem_from_json, problem_to_json
from gateway_core.config.sources import WatchSet
from gateway_core.reload.bundle import (
    ConfigBundle,
    Verdict,
    read_job,
    read_verdict,
    verdict_fields,
    write_job,
)

HEAD = json.dumps({"files": ["/etc/g.yaml"], "directories": ["/etc/d"], "warnings": []}).encode()
BUNDLE = ConfigBundle("v1", (HEAD, '["ü"]'.encode()), 2, {"auth": "1.0 abc"})


def test_it_travels_as_json() -> None:
    assert ConfigBundle.from_plain(json.loads(json.dumps(BUNDLE.to_plain()))) == BUNDLE


@pytest.mark.parametrize("missing", ["version", "workers", "plugins", "lines"])
def test_what_is_incomplete_is_refused(missing: str) -> None:
    plain = {name: value for name, value in BUNDLE.to_plain().items() if name != missing}

    with pytest.raises(KeyError):
        ConfigBundle.from_plain(plain)


def test_it_tells_which_files_it_was_read_from() -> None:
    assert {str(path) for path in BUNDLE.watch().files} == {"/etc/g.yaml"}
    assert {str(path) for path in BUNDLE.watch().directories} == {"/etc/d"}


@pytest.mark.parametrize(
    ("place_files", "expected"),
    [([], False), (["/etc/g.yaml"], False), (["/etc/g.yaml", "etcd://h/a.yaml"], True), (["configmap/a/b/c"], True)],
)
def test_it_tells_whether_a_source_has_a_part_in_it(place_files: list[str], *, expected: bool) -> None:
    head = json.dumps({"files": ["/etc/g.yaml", "/etc/unused.pem"], "place_files": place_files}).encode()

    assert ConfigBundle("v1", (head,)).has_remote_documents() is expected


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
