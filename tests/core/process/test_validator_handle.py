from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import Document
from gateway_core.process import child
from gateway_core.process.validator_handle import ValidatorProcess
from gateway_core.reload.verdict import ValidationFailedError, ValidationHungError

GOOD = "workers: 3\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n"


@pytest.fixture
async def validator() -> AsyncIterator[ValidatorProcess]:
    validator = ValidatorProcess()
    yield validator
    await validator.aclose()


async def test_documents_and_files_are_validated_together(validator: ValidatorProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: 3\n")

    verdict = await validator.validate([path], [Document("etcd://h/a.yaml", GOOD)])
    assert verdict.bundle is not None
    assert verdict.bundle.workers == 3
    assert verdict.watch.files == {path}
    assert verdict.bundle.watch() == verdict.watch
    pid = validator.pid or 0

    verdict = await validator.validate([], [Document("etcd://h/a.yaml", "routes:\n  - {id: 1, path: x}\n")])
    assert verdict.bundle is None
    assert {str(problem.place).rpartition(":")[0] for problem in verdict.problems} == {"etcd://h/a.yaml:2"}
    assert validator.pid == pid
    await validator.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_problems_come_back_with_their_places(validator: ValidatorProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: many\n")

    (problem,) = (await validator.validate([path])).problems

    assert (problem.place.line, problem.place.column, problem.key_path) == (1, 10, "workers")
    assert problem.excerpt == "workers: many"


async def test_a_process_that_died_meanwhile_is_replaced(validator: ValidatorProcess) -> None:
    await validator.validate([], [Document("a", GOOD)])
    pid = validator.pid or 0
    os.kill(pid, signal.SIGKILL)

    verdict = await validator.validate([], [Document("a", GOOD)])

    assert verdict.bundle is not None
    assert validator.pid != pid
    await validator.discard()
    assert validator.pid is None


async def test_a_verdict_that_nobody_waited_for_is_not_taken_for_the_next_one(validator: ValidatorProcess) -> None:
    await validator.validate([], [Document("a", GOOD)])
    given_up = asyncio.ensure_future(validator.validate([], [Document("a", GOOD)]))  # noqa: TID251  # a test's own
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])

    verdict = await validator.validate([], [Document("a", "workers: many")])

    assert [problem.key_path for problem in verdict.problems] == ["workers"]


async def test_jobs_at_the_same_time_do_not_mix(validator: ValidatorProcess) -> None:
    good, bad = await asyncio.gather(
        validator.validate([], [Document("a", GOOD)]), validator.validate([], [Document("a", "workers: many")])
    )

    assert good.bundle is not None
    assert bad.problems


async def test_an_installation_makes_the_next_process_a_fresh_one() -> None:
    stamps = [(("site", 1),), (("site", 1),), (("site", 2),)]
    validator = ValidatorProcess(stamp=iter(stamps).__next__)
    pids = []

    for _ in stamps:
        await validator.validate([], [Document("a", GOOD)])
        pids.append(validator.pid)

    assert pids[0] == pids[1] != pids[2]
    await validator.aclose()


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("raise SystemExit('out of luck')", "status 1 and no verdict: out of luck"),
        ("print('hello')", "status 0 and no verdict: hello"),
        ("import os; os.kill(os.getpid(), 9)", "status -9 and no verdict: it printed nothing"),
    ],
)
async def test_a_process_that_comes_to_no_verdict_is_told(
    validator: ValidatorProcess, monkeypatch: pytest.MonkeyPatch, code: str, printed: str
) -> None:
    start = child._popen

    def instead(_: Any, *more: Any) -> Any:
        return start([sys.executable, "-c", code], *more)

    monkeypatch.setattr(child, "_popen", instead)

    with pytest.raises(ValidationFailedError, match=printed):
        await validator.validate([Path("x")])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os\nos._exit(3)", "status 3 and no verdict: .* it ended while importing plugin 'zoo' of zoo 1.5"),
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
    validator = ValidatorProcess(timeout=5)

    with pytest.raises(ValidationFailedError, match=told) as failed:
        await validator.validate([path])

    assert isinstance(failed.value, ValidationHungError) == ("sleep" in code)
    assert validator.pid is None or "sleep" not in code
    await validator.aclose()
