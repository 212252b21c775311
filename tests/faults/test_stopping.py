"""SIGTERM ends everything, whatever plugins did that would take ten minutes."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream, children_of, get_over_both
from tests.end_to_end.test_processes import ends

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]

PLUGIN = """
import asyncio, atexit, multiprocessing, signal, subprocess, threading, time
from concurrent.futures import ThreadPoolExecutor
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {"type": "object"}

    async def start(self):
        %s

    async def stop(self):
        %s

    @hookimpl
    def gateway_pre_proxy(self, request):
        return None

async def stubborn():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

CHILD = ["sh", "-c", "trap : TERM INT HUP; while :; do sleep 1; done"]
"""

LEFT = {
    "a stop that ignores its cancellation": ("pass", "await stubborn()"),
    "a stop that holds the loop": ("pass", "time.sleep(600)"),
    "a stop that never returns": ("pass", "while True: pass"),
    "work that ignores its cancellation": ("self.spawn(stubborn())", "pass"),
    "a child that ignores SIGTERM": ("self.child = subprocess.Popen(CHILD)", "pass"),
    "a child that stop waits for": (
        "self.child = subprocess.Popen(CHILD)",
        "self.child.terminate(); self.child.wait()",
    ),
    "a child that is forked": (
        "self.child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,)); self.child.start()",
        "pass",
    ),
    "threads": (
        "self.pool = ThreadPoolExecutor(2); self.pool.submit(time.sleep, 600)",
        "self.pool.shutdown(wait=True)",
    ),
    "signals": ("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})", "raise SystemExit(3)"),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("left", list(LEFT))
async def test_sigterm_ends_the_gateway_and_what_plugins_have_started(
    start: Start, upstream: Upstream, environment: Environment, workers: int, left: str
) -> None:
    environment.install("1.0", code=PLUGIN % LEFT[left])
    gateway = start(
        f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 1s\ndrain_delay: 1s\n"
        f"routes: [{{id: it, path: /it, target: '{upstream.url}', plugins: [{{name: tiny}}]}}]\n",
        inside=environment.folder,
    )
    url = await gateway.ready()
    assert (await get_over_both(url, "/it"))[0] == 200
    children = children_of(gateway.process.pid)

    gateway.signal(signal.SIGTERM)

    assert await gateway.ends() == 0, gateway.text
    for child in children:
        await ends(child)
