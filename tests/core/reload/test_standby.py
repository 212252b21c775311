from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from gateway_core.config import Document
from gateway_core.reload.standby import ValidatorProcess

GOOD = "workers: 3\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n"


def pid_of(standby: ValidatorProcess) -> int:
    assert standby._process is not None
    return standby._process.pid


async def test_documents_and_files_are_validated_together(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: 3\n")
    standby = ValidatorProcess()

    verdict = await standby.validate([path], [Document("etcd://h/a.yaml", GOOD)])
    assert verdict.bundle is not None
    assert verdict.bundle.workers == 3
    assert verdict.watch.files == {path}
    pid = pid_of(standby)

    verdict = await standby.validate([], [Document("etcd://h/a.yaml", "routes:\n  - {id: 1, path: x}\n")])
    assert verdict.bundle is None
    assert {str(problem.place).rpartition(":")[0] for problem in verdict.problems} == {"etcd://h/a.yaml:2"}
    assert pid_of(standby) == pid
    await standby.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_process_that_died_meanwhile_is_replaced() -> None:
    standby = ValidatorProcess()
    await standby.validate([], [Document("a", GOOD)])
    pid = pid_of(standby)
    os.kill(pid, signal.SIGKILL)

    verdict = await standby.validate([], [Document("a", GOOD)])

    assert verdict.bundle is not None
    assert pid_of(standby) != pid
    await standby.discard()
    assert standby._process is None


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one() -> None:
    standby = ValidatorProcess()
    await standby.validate([], [Document("a", GOOD)])
    given_up = asyncio.ensure_future(standby.validate([], [Document("a", GOOD)]))  # noqa: TID251  # a test's own
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])

    verdict = await standby.validate([], [Document("a", "workers: many")])

    assert [problem.key_path for problem in verdict.problems] == ["workers"]
    await standby.aclose()


async def test_jobs_at_the_same_time_do_not_mix() -> None:
    standby = ValidatorProcess()

    good, bad = await asyncio.gather(
        standby.validate([], [Document("a", GOOD)]), standby.validate([], [Document("a", "workers: many")])
    )

    assert good.bundle is not None
    assert bad.problems
    await standby.aclose()


async def test_a_process_that_has_nothing_to_do_ends() -> None:
    standby = ValidatorProcess(kept_for=0.1)
    await standby.validate([], [Document("a", GOOD)])

    async with asyncio.timeout(30):
        while standby._process is not None:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.02)

    assert (await standby.validate([], [Document("a", GOOD)])).bundle is not None
    await standby.aclose()


async def test_an_installation_makes_the_next_process_a_fresh_one() -> None:
    stamps = [(("site", 1),), (("site", 1),), (("site", 2),)]
    standby = ValidatorProcess(stamp=iter(stamps).__next__)
    pids = []

    for _ in stamps:
        await standby.validate([], [Document("a", GOOD)])
        pids.append(pid_of(standby))

    assert pids[0] == pids[1] != pids[2]
    await standby.aclose()
