"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.late_connections import closed_with_their_owners
from tests.ports import free_port
from tests.protocols.choice import parametrize_protocols, protocols
from tests.protocols.fixtures import bridges, gateway, spoken_to, upstream

if TYPE_CHECKING:
    from tests.collector import Collector

__all__ = ["bridges", "gateway", "protocols", "spoken_to", "upstream"]

# No deadlines: a test that is slow on a busy machine is not a test that fails.
settings.register_profile("fast", deadline=None, max_examples=50)
settings.register_profile("deep", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_protocols(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # It makes millions of objects and hardly any garbage: to look for some took two fifths of its time.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        # Tests collect garbage and look through the objects of this process: without those of all tests and modules.
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Have gateways keep their state in a folder of this run, not in the home of who runs the tests."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def late_connections() -> Iterator[None]:
    """Have no server and no client of a test leave a connection behind."""
    with closed_with_their_owners():
        yield


@pytest.fixture
def without_re2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the import of RE2 fail, as where gateway-core[re2] is not installed."""
    from gateway_core.regex.pattern import forget_patterns

    monkeypatch.setitem(sys.modules, "re2", None)
    forget_patterns()
    yield
    forget_patterns()


@pytest.fixture
def unused_tcp_port() -> int:
    """Return a port for a server, in place of pytest-asyncio's, which a connection may take meanwhile."""
    return free_port()


@pytest.fixture
def unused_tcp_port_factory() -> Callable[[], int]:
    """Return what gives such ports."""
    return free_port


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a collector of traces that runs on a port of its own."""
    from tests.collector import Collector

    found = Collector()
    found.start()
    yield found
    found.close()
