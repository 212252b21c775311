from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.config import ConfigError
from gateway_core.packages.lock_file import LOCK_VARIABLE
from gateway_core.packages.locking import installed_plugins, write_lock
from gateway_core.packages.registry import PluginRegistry
from gateway_core.process.channel import REPLY, BlockingChannel, ChannelClosedError, Message
from gateway_core.process.validator import check_lock

from tests.end_to_end.kit import Gateway

PATHS = (Path("gateway.yaml"),)

SERVER = """
import os, socket, sys
from gateway_core.process import validator
from gateway_core.process.channel import BlockingChannel
from gateway_core.reload.verdict import Verdict
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
    document["plugins"][0]["version"] = "0.0.1"
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
