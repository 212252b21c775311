from __future__ import annotations

import asyncio
import importlib.util

from gateway_core.server.loops import loop_factory


def test_takes_uvloop_if_it_is_there() -> None:
    factory = loop_factory()

    assert (factory is not None) is (importlib.util.find_spec("uvloop") is not None)
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(asyncio.sleep(0, "ran")) == "ran"
