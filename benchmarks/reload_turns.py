"""How long the turns of a serving process are while it takes another configuration of many routes.

    python benchmarks/reload_turns.py [plain|plugin|url|host] [--routes 10000] [--edits 2]

A turn is what the event loop does between two looks at its sockets, for which requests wait. It is measured by the CPU
time of its thread, so other work on the machine does not count. The engine runs in this process, on asyncio's own loop
and without requests: configurations of which one differs from the one before it in its first and last route are
prepared, put in force, and the one before is retired. With ``plugin`` each route has a plugin instance, with ``url``
an upstream, with ``host`` a host of its own, and instances and upstreams are others in each configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from asyncio import base_events
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway_core.config import GatewayConfig, LoadedConfig, Place
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.reload.bundle import ConfigBundle

LONG = 0.003
"""Seconds; a turn of a serving process should not be longer."""


def of_kind(kind: str, number: int, edit: int) -> dict[str, Any]:
    """Return what a route has."""
    header = {"response": {"set": {"x-a": f"{number}-{edit}"}}}
    made: dict[str, dict[str, Any]] = {
        "plain": {"target": "u"},
        "plugin": {"target": "u", "plugins": [{"name": "headers", "id": "headers", "config": header}]},
        "url": {"target": f"http://h{number}-{edit}.test:9"},
        "host": {"target": "u", "hosts": [f"h{number}.test"]},
    }
    return made[kind]


def bundle(kind: str, routes: int, edit: int) -> ConfigBundle:
    """Return a configuration as the process that validates it sends it."""
    config = GatewayConfig.model_validate(
        {
            "listen": ["127.0.0.1:0"],
            "upstreams": [{"name": "u", "endpoints": [{"url": "http://127.0.0.1:9"}]}],
            "routes": [
                {"id": f"r{number}", "path": f"/r/{number}/:id", "methods": ["GET"], **of_kind(kind, number, edit)}
                for number in range(edit, edit + routes)
            ],
        }
    )
    paths = [f"routes[{index}]{part}" for index in range(routes) for part in ("", ".plugins[0]")]
    places = {path: Place("gateway.yaml", line, 1) for line, path in enumerate(paths)}
    return ConfigBundle(str(edit), tuple(LoadedConfig(config, places, version=str(edit)).to_lines()))


@contextmanager
def measured_turns(found: list[float]) -> Iterator[None]:
    """Have the CPU seconds of each turn of the loop added to a list."""
    loop: Any = base_events.BaseEventLoop
    once, began = loop._run_once, [0.0]  # noqa: SLF001  # where a turn begins and ends

    def run_once(self: Any) -> None:
        select = self._selector.select

        def timed(timeout: float | None) -> Any:
            events = select(timeout)
            began[0] = time.thread_time()
            return events

        self._selector.select = timed
        try:
            once(self)
        finally:
            self._selector.select = select
        found.append(time.thread_time() - began[0])

    loop._run_once = run_once  # noqa: SLF001
    try:
        yield
    finally:
        loop._run_once = once  # noqa: SLF001


async def measure(bundles: list[ConfigBundle]) -> list[list[float]]:
    """Return the turns of each configuration but the first one, which nothing is served beside."""
    sockets, edits = SocketTable(), list[list[float]]()
    engine = Engine(sockets, owns_process=True)
    turns: list[float] = []
    with measured_turns(turns):
        for each in bundles:
            await asyncio.sleep(0.01)
            turns.clear()
            prepared = await engine.prepare(each)
            await asyncio.to_thread(sockets.bind, prepared.config.listen)
            await engine.commit(prepared)
            await engine.shared_owners()
            del prepared
            while len(engine.holder.retirement):  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            edits.append(turns.copy())
    await engine.stop(1)
    return edits[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=["plain", "plugin", "url", "host"], default="plain")
    parser.add_argument("--routes", type=int, default=10_000)
    parser.add_argument("--edits", type=int, default=2)
    options = parser.parse_args()
    bundles = [bundle(options.kind, options.routes, edit) for edit in range(options.edits + 1)]
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        for number, turns in enumerate(runner.run(measure(bundles)), 1):
            ordered = sorted(turns, reverse=True)
            longest = ", ".join(f"{seconds * 1000:.1f}" for seconds in ordered[:5])
            beyond = sum(seconds > LONG for seconds in turns)
            print(f"edit {number}: {sum(turns):.2f} s of CPU in {len(turns)} turns, longest {longest} ms", end=", ")
            print(f"{beyond} beyond {LONG * 1000:.0f} ms")


if __name__ == "__main__":
    main()
