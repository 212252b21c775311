"""Signals and edits that come while a program begins, while the one that is to take over is tried, or while it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from signal import SIGUSR2

import pytest

from tests.end_to_end.kit import Gateway, Upstream, eventually
from tests.faults.test_kills import processes_that_name
from tests.following import eventually as eventually_true

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]

AT_THAT_MOMENT = """
import json, os, pathlib, signal, sys

class Once:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "gateway_core.process.composition":
            return
        left = os.environ.get("GATEWAY_HANDOVER", "start")
        wanted = json.loads(os.environ["WANTED"])
        if (left if left in ("trial", "start") else "handover") == wanted["moment"]:
            try:
                os.mkdir(os.environ["ONCE"])
            except FileExistsError:
                return
            if wanted["edit"]:
                pathlib.Path(os.environ["EDITED"]).write_text(wanted["edit"])
            for number in wanted["signals"]:
                os.kill(os.getppid() if left == "trial" else os.getpid(), getattr(signal, number))
            if wanted["hangs"]:
                signal.pause()

if "gateway_core.cli" in sys.orig_argv:
    sys.meta_path.insert(0, Once)
"""
"""Does something when the program is about to be imported: at its start, on trial, or once it has taken over."""


@pytest.fixture
def begin(start: Start, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Gateway]:
    (tmp_path / "sitecustomize.py").write_text(AT_THAT_MOMENT)

    def begin(moment: str, *signals: str, edit: str = "", workers: int = 2, hangs: bool = False) -> Gateway:
        def config(path: str) -> str:
            route = f"routes: [{{path: {path}, target: '{upstream.url}'}}]\n"
            return f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 1s\n{route}"

        wanted = {"moment": moment, "signals": signals, "edit": edit and config(edit), "hangs": hangs}
        for name, value in (
            ("PYTHONPATH", tmp_path),
            ("WANTED", json.dumps(wanted)),
            ("ONCE", tmp_path / "once"),
            ("EDITED", tmp_path / "gateway.yaml"),
        ):
            monkeypatch.setenv(name, str(value))
        return start(config("/it"))

    return begin


@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGINT", "SIGINT"], ["SIGHUP", "SIGUSR2", "SIGTERM", "SIGUSR1"]])
async def test_a_program_that_is_stopped_while_it_is_imported_ends_with_status_0(
    begin: Callable[..., Gateway], signals: list[str]
) -> None:
    gateway = begin("start", *signals, hangs=True)  # so that it ends while it is imported, not afterwards

    assert await gateway.ends() == 0, gateway.text
    assert "before it was ready" in gateway.text


@pytest.mark.parametrize(("signal", "after"), [("SIGHUP", "SIGHUP: "), ("SIGUSR1", ""), ("SIGUSR2", "has taken over")])
async def test_a_signal_while_the_program_is_imported_is_handled_once_it_serves(
    begin: Callable[..., Gateway], signal: str, after: str
) -> None:
    gateway = begin("start", signal)

    url = await gateway.ready()
    await gateway.says(after)
    await eventually(url, "/it", "200")
    await gateway.stops()


@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGINT", "SIGINT"], ["SIGUSR2", "SIGTERM", "SIGHUP"]])
@pytest.mark.parametrize("moment", ["trial", "handover"])
async def test_sigterm_during_sigusr2_ends_the_gateway_and_the_program_on_trial(
    begin: Callable[..., Gateway], moment: str, signals: list[str]
) -> None:
    gateway = begin(moment, *signals, hangs=moment == "trial")
    await gateway.ready()

    gateway.signal(SIGUSR2)

    assert await gateway.ends() == 0, gateway.text
    await eventually_true(lambda: processes_that_name(str(gateway.config)) == [])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("moment", ["trial", "handover"])
async def test_an_edit_during_sigusr2_comes_into_force(
    begin: Callable[..., Gateway], moment: str, workers: int
) -> None:
    gateway = begin(moment, edit="/edited", workers=workers)
    url = await gateway.ready()

    gateway.signal(SIGUSR2)

    await gateway.says("has taken over")
    await eventually(url, "/edited", "200")
    await gateway.stops()


@pytest.mark.parametrize(("signal", "after"), [("SIGHUP", "SIGHUP: "), ("SIGUSR1", ""), ("SIGUSR2", "")])
@pytest.mark.parametrize("moment", ["trial", "handover"])
async def test_a_signal_during_sigusr2_is_not_lost(
    begin: Callable[..., Gateway], moment: str, signal: str, after: str
) -> None:
    gateway = begin(moment, signal)
    url = await gateway.ready()

    gateway.signal(SIGUSR2)

    await gateway.says("has taken over")
    await gateway.says(after)
    await eventually(url, "/it", "200")
    await gateway.stops()
