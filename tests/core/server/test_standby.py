from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.config import Document
from gateway_core.server.standby import Standby

GOOD = "workers: 3\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n"


async def test_documents_and_files_are_validated_together(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: 3\n")
    standby = Standby()

    try:
        verdict = await standby.validate([path], [Document("etcd://h/a.yaml", GOOD)])
        assert verdict.canonical is not None
        assert verdict.canonical.workers == 3
        assert verdict.watch.files == {path}

        verdict = await standby.validate([], [Document("etcd://h/a.yaml", "routes:\n  - {id: 1, path: x}\n")])
        assert verdict.canonical is None
        assert {str(problem.place).rpartition(":")[0] for problem in verdict.problems} == {"etcd://h/a.yaml:2"}
    finally:
        await standby.aclose()


async def test_the_next_process_is_ready_and_ends_with_its_owner() -> None:
    standby = Standby()
    await standby.validate([], [Document("a", GOOD)])
    await standby._tasks.wait()
    ready = standby._ready
    assert ready is not None

    verdict = await standby.validate([], [Document("a", GOOD)])

    assert verdict.canonical is not None
    assert ready.returncode == 0
    await standby._tasks.wait()
    pid = standby._ready.pid if standby._ready is not None else 0
    await standby.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_process_that_died_meanwhile_is_not_used() -> None:
    standby = Standby()
    await standby.validate([], [Document("a", GOOD)])
    await standby._tasks.wait()
    assert standby._ready is not None
    standby._ready.kill()
    await standby._ready.wait()

    assert (await standby.validate([], [Document("a", GOOD)])).canonical is not None
    await standby.discard()
    await standby.aclose()
