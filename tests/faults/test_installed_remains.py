"""Metadata of distributions that is no file: it neither stops a reload nor hides what is installed beside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import Gateway, Upstream, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def config(upstream: Upstream, workers: int, path: str, plugins: str = "") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\n"
        f"routes: [{{id: it, path: {path}, target: '{upstream.url}'{plugins}}}]\n"
    )


def make_pipe(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_named_pipe_among_the_metadata_is_named_and_stops_no_reload(
    start: Callable[..., Gateway], upstream: Upstream, environment: Environment, workers: int
) -> None:
    environment.install("1.0")
    gateway = start(config(upstream, workers, "/first"), python=environment.python)
    url = await gateway.ready()

    make_pipe(environment.site / "odd-1.dist-info" / "entry_points.txt")
    await gateway.says(r"odd-1\.dist-info cannot be read \(entry_points\.txt is not a regular file\)")
    gateway.config.write_text(config(upstream, workers, "/second"))
    await eventually(url, "/second", "200")

    gateway.config.write_text(config(upstream, workers, "/third", ", plugins: [{name: tiyn}]"))
    await gateway.says('no plugin "tiyn" is installed: .*odd-1.dist-info cannot be read')
    after = len(gateway.lines)
    gateway.config.write_text(config(upstream, workers, "/third", ", plugins: [{name: tiny}]"))
    await eventually(url, "/third", "200")

    for name in ("METADATA", "RECORD"):
        make_pipe(environment.site / "gateway_plugin_tiny-1.0.dist-info" / name)
        gateway.signal(signal.SIGHUP)
        await gateway.says("gateway_plugin_tiny-1.0.dist-info cannot be read", after=after)
        await eventually(url, "/third", "200")
