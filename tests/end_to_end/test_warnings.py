"""Warnings about the configuration in force: printed, counted and shown, and no reason to refuse it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, eventually, get_json, get_over_both

Start = Callable[..., Gateway]


def config(upstream: Upstream, admin: str, workers: int, *, strip: bool = True) -> str:
    route = f"{{id: it, path_prefix: /, target: '{upstream.url}', strip_path: {str(strip).lower()}}}"
    return f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: '{admin}'}}\nroutes:\n  - {route}\n"


@pytest.mark.parametrize("workers", [1, 2])
async def test_they_are_printed_counted_and_shown(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    admin = f"unix:{tmp_path}/admin.sock"
    gateway = start(config(upstream, admin, workers))
    url = await gateway.ready()

    assert "routes[0].strip_path: warning: strip_path has no effect" in gateway.text
    assert gateway.text.index("1 warning found") < gateway.text.index("listening on")
    assert (await get_over_both(url, "/a"))[0] == 200
    await eventually(admin, "/metrics", "gateway_config_warnings 1.0")
    (warning,) = (await get_json(admin, "/config"))["warnings"]
    assert (warning["code"], warning["severity"], warning["line"]) == ("setting.no-effect", "warning", 5)

    after = len(gateway.lines)
    await gateway.rewrites(config(upstream, admin, workers, strip=False))
    assert "warning" not in "\n".join(gateway.lines[after:])
    await eventually(admin, "/metrics", "gateway_config_warnings 0.0")

    after = len(gateway.lines)
    await gateway.rewrites(config(upstream, admin, workers))
    assert "\n".join(gateway.lines[after:]).count("strip_path has no effect") == 1
    await gateway.stops()
