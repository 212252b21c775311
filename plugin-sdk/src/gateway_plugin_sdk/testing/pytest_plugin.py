"""Fixtures for the tests of a plugin; pytest finds them wherever the SDK is installed.

Nothing of the gateway is imported before a test asks for one of them. A fixture of the same name in a test's own
``conftest.py`` takes the place of the one here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from gateway_core.clock import Clock, ManualClock
    from gateway_core.testing import RunningGateway, ScriptedUpstream


class StartGateway(Protocol):
    """What the fixture ``gateway`` is."""

    def __call__(
        self,
        config: str | Mapping[str, Any],
        *,
        plugins: Iterable[Any] = (),
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> RunningGateway:
        """Start a gateway; see ``RunningGateway``."""


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[StartGateway]:
    """Start real gateways on free ports: ``gateway(config)``. All of them are stopped after the test.

    If the test asks for ``clock`` too, its gateways run by that clock.
    """
    from gateway_core.clock import ManualClock  # noqa: PLC0415  # see the module's docstring
    from gateway_core.testing import RunningGateway  # noqa: PLC0415

    shared = request.getfixturevalue("clock") if "clock" in request.fixturenames else None
    running = ExitStack()

    def start(
        config: str | Mapping[str, Any],
        *,
        plugins: Iterable[Any] = (),
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> RunningGateway:
        if clock is None and isinstance(shared, ManualClock):
            clock = shared
        made = RunningGateway(config, plugins=plugins, clock=clock, environ=environ, directory=directory)
        return running.enter_context(made)

    with running:
        yield start


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """Run an upstream that responds with 200 until the test says otherwise."""
    from gateway_core.testing import ScriptedUpstream  # noqa: PLC0415  # see the module's docstring

    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still until the test moves it."""
    from gateway_core.clock import ManualClock  # noqa: PLC0415  # see the module's docstring

    return ManualClock()
