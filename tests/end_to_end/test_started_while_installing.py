"""A gateway that is started while an installer is at work waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.end_to_end.environment import PLUGIN, Environment
from tests.end_to_end.kit import Gateway, Upstream, get_over_both

Start = Callable[..., Gateway]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READS_ITS_DATA = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
Path(__file__).with_name("data.txt").read_text()
"""


def config(upstream: Upstream, workers: int) -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\n"
        f"routes: [{{id: it, path: /it, target: '{upstream.url}', plugins: [{{name: tiny}}]}}]\n"
    )


def install_a_part(environment: Environment) -> None:
    environment.install("1.0", code=PLUGIN % ("pass", "1.0") + READS_ITS_DATA)
    with (environment.site / "gateway_plugin_tiny-1.0.dist-info" / "RECORD").open("a") as record:
        record.write("data.txt,,\n")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_half_installed_plugin_is_waited_for(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    install_a_part(environment)

    gateway = start(config(upstream, workers), python=environment.python)
    while not (environment.site / "imported").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)
    (environment.site / "data.txt").touch()

    url = await gateway.ready()
    assert await get_over_both(url, "/it") == (200, "tiny 1.0")
    await gateway.stops()


async def test_a_plugin_that_stays_half_installed_is_not_waited_for_without_end(
    start: Start, upstream: Upstream, environment: Environment
) -> None:
    install_a_part(environment)

    gateway = start(config(upstream, 1), python=environment.python)

    await gateway.says("the plugin .tiny. of gateway-plugin-tiny 1.0 does not load: FileNotFoundError")
