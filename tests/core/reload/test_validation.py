from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Place, problem_from_json, problem_to_json
from gateway_core.config.sources import WatchSet
from gateway_core.reload import validation
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.validation import ValidationFailedError, Verdict, read_verdict, validate, verdict_lines

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
    assert read_verdict(list(verdict_lines(verdict))) == verdict


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_verdict_that_breaks_off_is_refused(lines: int) -> None:
    whole = list(verdict_lines(Verdict(WatchSet(), GOOD)))

    with pytest.raises(ValueError, match=r"no output|lines of"):
        read_verdict(whole[:lines])


async def test_a_good_configuration_comes_back_canonical(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: 3\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n")

    verdict = await validate([path])

    assert verdict.bundle is not None
    assert verdict.bundle.workers == 3
    assert verdict.watch.files == {path}
    assert verdict.bundle.watch() == verdict.watch


async def test_problems_come_back_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: many\n")

    verdict = await validate([path])

    assert verdict.bundle is None
    (problem,) = verdict.problems
    assert (problem.place.line, problem.place.column, problem.key_path) == (1, 10, "workers")
    assert problem.excerpt == "workers: many"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('out of luck')", "status 1 and no verdict .no output.: out of luck"),
        ("print('hello')", "status 0 and no verdict"),
        ("import os; os.kill(os.getpid(), 9)", "status -9 and no verdict .no output.: it said nothing"),
    ],
)
async def test_a_process_that_comes_to_no_verdict_is_told(
    monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr(validation, "check_command", lambda: [sys.executable, "-c", code])

    with pytest.raises(ValidationFailedError, match=said):
        await validate([Path("x")])


async def test_a_process_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import time; time.sleep(1000)"
    monkeypatch.setattr(validation, "check_command", lambda: [sys.executable, "-c", code])

    with pytest.raises(ValidationFailedError, match=r"did not end within 0.3 seconds"):
        await validate([Path("x")], timeout=0.3)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os\nos._exit(3)", "status 3 and no verdict .* it ended while importing plugin 'zoo' of zoo 1.5"),
        ("import time\ntime.sleep(60)", "not end within 5 seconds and was stopped while importing plugin 'zoo' of zoo"),
    ],
)
async def test_the_plugin_is_named_whose_import_ends_or_hangs_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    metadata = tmp_path / "site" / "zoo-1.5.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nzoo = zoo:Zoo\n")
    (metadata.parent / "zoo.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(metadata.parent), prepend=":")
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: [{id: a, path: /, target: 'http://127.0.0.1:1', plugins: [{name: zoo}]}]\n")

    with pytest.raises(ValidationFailedError, match=told):
        await validate([path], timeout=5)
