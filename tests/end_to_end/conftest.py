"""The real command, real upstreams, real sockets. Nothing here imports the gateway: it may be installed from wheels."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("one") as running:
        yield running


@pytest.fixture
async def second_upstream() -> AsyncIterator[Upstream]:
    async with Upstream("two") as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Write a configuration and start ``gateway run`` on it; what is still running at the end is killed."""
    started: list[Gateway] = []

    def begin(
        text: str,
        *more: str,
        name: str = "gateway.yaml",
        path: Path | None = None,
        python: str | Path = sys.executable,
        directory: Path | None = None,
    ) -> Gateway:
        config = path or tmp_path / name
        if path is None:
            config.write_text(text)
        gateway = Gateway(config, *more, python=python, directory=directory)
        started.append(gateway)
        return gateway

    yield begin
    for gateway in started:
        gateway.kill()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The admin API of the gateway that a test starts, whose control socket and state are in folders of their own."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Api(folder)
