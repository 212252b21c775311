from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, Document
from gateway_core.packages.lock_file import LOCK_VARIABLE
from gateway_core.packages.locking import check_lock, installed_plugins, write_lock
from gateway_core.packages.registry import PluginRegistry
from gateway_core.process import child
from gateway_core.process.channel import REPLY, BlockingChannel, ChannelClosedError, Message
from gateway_core.process.validator import ValidatorProcess
from gateway_core.reload.bundle import ValidationFailedError, ValidationHungError

from tests.end_to_end.kit import Gateway

PATHS = (Path("gateway.yaml"),)

SERVER = """
import os, socket, sys
from gateway_core.process import validator
from gateway_core.process.channel import BlockingChannel
from gateway_core.reload.bundle import Verdict
from gateway_core.config.sources import WatchSet

def judge(paths, documents, registry):
    sys.count = getattr(sys, "count", 0) + 1
    exec(str(paths[0]))
    return Verdict(WatchSet.of([f"/{sys.count}"]))

validator.judge = judge
validator.serve(BlockingChannel(socket.socket(fileno=int(sys.argv[1]))))
"""


@pytest.fixture
def channel() -> Iterator[BlockingChannel]:
    """The channel to a validator whose jobs are Python code."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", SERVER, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    with ours:
        ours.settimeout(60)
        yield BlockingChannel(ours)
    assert process.wait(30) == 0, "it ends with the gateway"


def does(channel: BlockingChannel, code: str) -> list[Message]:
    """Give it a job, and return what it sends until the job has ended."""
    channel.send("validate", json.dumps({"paths": [code], "documents": []}).encode(), call=7)
    messages: list[Message] = []
    while not messages or messages[-1].kind != REPLY:
        messages.append(channel.receive())
    assert messages[-1]["call"] == 7
    return messages


def test_each_job_is_done_in_a_fresh_process(channel: BlockingChannel) -> None:
    for _ in range(2):
        verdict, ending = does(channel, "pass")
        assert verdict["files"] == ["/1"]
        assert (ending["status"], ending["printed"]) == (0, "")


def test_what_a_job_prints_is_told_with_its_end(channel: BlockingChannel) -> None:
    _, ending = does(channel, "print('hello'); os.system('echo there')")

    assert sorted(ending["printed"].split()) == ["hello", "there"]


def test_what_bindings_need_is_imported_once_behind_the_first_job(channel: BlockingChannel) -> None:
    does(channel, "pass")

    _, ending = does(channel, "print('jsonschema' in sys.modules)")

    assert ending["printed"].strip() == "True"


def test_a_plugin_is_read_without_the_texts_under_its_fields(channel: BlockingChannel) -> None:
    code = """
from gateway_core.config.models.base import ConfigModel
class Own(ConfigModel):
    field: int = 1
print(Own.model_config["use_attribute_docstrings"])
"""
    _, ending = does(channel, code)

    assert ending["printed"].strip() == "False"


def test_a_job_that_fails_or_dies_is_told_and_the_next_one_is_done(channel: BlockingChannel) -> None:
    (died,) = does(channel, "os.kill(os.getpid(), 9)")
    (failed,) = does(channel, "raise SystemExit('no luck')")
    done = does(channel, "pass")

    assert died["status"] == -9
    assert failed["status"] == 1
    assert "no luck" in failed["printed"]
    assert len(done) == 2


def test_a_job_that_hangs_ends_with_the_gateway(channel: BlockingChannel, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    code = f"open({str(told)!r}, 'w').write(str(os.getpid())); import time; time.sleep(600)"
    channel.send("validate", json.dumps({"paths": [code], "documents": []}).encode(), call=1)
    pid = int(told.read_text())

    channel.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ChannelClosedError):
        channel.receive()
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # it has ended already
    try:
        assert select.select([ended], [], [], 30)[0]
    finally:
        os.close(ended)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "plugins.lock"
    write_lock(path, installed_plugins(PluginRegistry()))
    return path


def drifted(lock: Path) -> Path:
    document = json.loads(lock.read_text())
    (auth,) = [plugin for plugin in document["plugins"] if plugin["name"] == "auth"]
    auth["version"] = "0.0.1"
    lock.write_text(json.dumps(document))
    return lock


def test_nothing_is_checked_unless_asked_for() -> None:
    check_lock(PATHS, {})


def test_what_is_locked_passes(lock: Path) -> None:
    check_lock(PATHS, {LOCK_VARIABLE: str(lock)})


def test_drift_is_a_problem_and_the_files_stay_watched(lock: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.lock: auth: gateway-plugin-auth 0\.0\.1 is locked") as caught:
        check_lock(PATHS, {LOCK_VARIABLE: str(drifted(lock))})

    assert caught.value.files == (Path("gateway.yaml"), lock)


def test_a_missing_lock_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no lock file"):
        check_lock(PATHS, {LOCK_VARIABLE: str(tmp_path / "gone")})


async def test_a_start_refuses_drift(lock: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text('listen: 127.0.0.1:0\nroutes: [{path: /, target: "http://127.0.0.1:1"}]\n')
    started = [Gateway(config, f"--locked={lock}")]
    try:
        await started[0].ready()
        await started[0].stops()
        started.append(Gateway(config, f"--locked={drifted(lock)}"))
        assert await started[1].ends() == 1
        assert "auth: gateway-plugin-auth 0.0.1 is locked" in started[1].text
    finally:
        for gateway in started:
            gateway.kill()


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


async def test_a_process_that_is_stopped_is_replaced(
    validator: ValidatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("routes: []\n")
    await validator.validate([config])
    pid = validator.pid or 0
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("gateway_core.process.patience.MOST_STOPPED", 0.5)

    verdict = await validator.validate([config])

    assert verdict.bundle is not None
    assert validator.pid not in {None, pid}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


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
        ("import time\ntime.sleep(99)", r"was stopped after \d+ seconds while importing plugin 'zoo' of zoo"),
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
    monkeypatch.setattr("gateway_core.process.validator.IMPORT_TIMEOUT", 2.0 if "sleep" in code else 45.0)
    validator = ValidatorProcess()

    with pytest.raises(ValidationFailedError, match=told) as failed:
        await validator.validate([path])

    assert isinstance(failed.value, ValidationHungError) == ("sleep" in code)
    assert validator.pid is None or "sleep" not in code
    await validator.aclose()
