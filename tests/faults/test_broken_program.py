"""A program that does not begin, such as one that is half installed, takes nothing over."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream, get_over_both

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_program_that_does_not_begin_leaves_the_old_one_in_place_until_it_is_mended(
    start: Start, upstream: Upstream, environment: Environment, workers: int
) -> None:
    route = f"routes: [{{id: it, path: /it, target: '{upstream.url}'}}]\n"
    gateway = start(f"listen: 127.0.0.1:0\nworkers: {workers}\n{route}", python=environment.python)
    url = await gateway.ready()
    library = environment.site / "click.py"
    library.write_text("raise ImportError('half installed')\n")

    gateway.signal(signal.SIGUSR2)

    line = await gateway.says("SIGUSR2: not restarted")
    assert "does not begin (status 1): ImportError: half installed" in line
    assert (await get_over_both(url, "/it"))[0] == 200

    library.unlink()
    after = len(gateway.lines)
    gateway.signal(signal.SIGUSR2)
    await gateway.says("^listening on", after=after)
    assert (await get_over_both(url, "/it"))[0] == 200
    await gateway.stops()
