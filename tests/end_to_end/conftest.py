"""The real command, real upstreams, real sockets. Nothing here imports the gateway: it may be installed from wheels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, ToClients, Upstream, directly
from tests.protocols.alternating import in_turn


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


@contextmanager
def starting(folder: Path, to_clients: ToClients = directly) -> Iterator[Callable[..., Gateway]]:
    """Return what writes a configuration to a folder and starts ``gateway run`` on it; at the end it is killed."""
    started: list[Gateway] = []

    def begin(
        text: str,
        *more: str,
        name: str = "gateway.yaml",
        path: Path | None = None,
        python: str | Path | None = None,
        inside: Path | None = None,
        directory: Path | None = None,
        environ: dict[str, str] | None = None,
    ) -> Gateway:
        config = path or folder / name
        if path is None:
            config.write_text(text)
        gateway = Gateway(
            config,
            *more,
            environ=environ,
            python=python,
            inside=inside,
            directory=directory,
            to_clients=to_clients,
        )
        started.append(gateway)
        return gateway

    yield begin
    for gateway in started:
        gateway.kill()


@pytest.fixture
async def to_clients(request: pytest.FixtureRequest) -> AsyncIterator[ToClients]:
    """Return what takes the URL of a gateway and returns one over which clients speak HTTP/2 and HTTP/1 in turn.

    Where a test is marked ``one_protocol``, that is the URL of the gateway.
    """
    if request.node.get_closest_marker("one_protocol"):
        yield directly
    else:
        async with in_turn() as bridges:
            yield bridges


@pytest.fixture
def start(tmp_path: Path, to_clients: ToClients) -> Iterator[Callable[..., Gateway]]:
    """Write a configuration and start ``gateway run`` on it; what is still running at the end is killed.

    Every second connection of the test's clients speaks HTTP/2.
    """
    with starting(tmp_path, to_clients) as begin:
        yield begin


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The admin API of the gateway that a test starts, whose control socket and state are in folders of their own."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Api(folder)
