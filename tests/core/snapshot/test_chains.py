"""Which configurations have chains of hooks at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import LoadedConfig
from gateway_core.hooks import NO_HOOKS
from gateway_core.snapshot import Environment, compile_snapshot

Load = Callable[[str], LoadedConfig]

PLAIN = "routes: [{id: r, path: /, target: 'http://127.0.0.1:1'}]"


async def test_requests_pass_no_hooks_where_nothing_is_bound(load_text: Load, environment: Environment) -> None:
    compiled = await compile_snapshot(load_text(PLAIN), environment)

    assert compiled.snapshot.global_chain is NO_HOOKS
    assert compiled.snapshot.routes["r"].chain is NO_HOOKS
    assert compiled.snapshot.bindings == []
    await compiled.snapshot.aclose()


@pytest.mark.parametrize(
    ("text", "number", "has_own"),
    [
        (f"plugins: [{{name: noted}}]\n{PLAIN}", 1, False),
        ("routes: [{id: r, path: /, target: 'http://127.0.0.1:1', plugins: [{name: noted}]}]", 1, True),
        ("routes: [{id: r, path: /, targets: [{target: 'http://127.0.0.1:1', plugins: [{name: noted}]}]}]", 1, True),
        (f"server_timing: true\n{PLAIN}", 0, False),
        (f"error_pages: [{{statuses: [502], body: sorry}}]\n{PLAIN}", 0, False),
        (PLAIN.replace("}]", ", error_pages: [{statuses: [502], body: sorry}]}]"), 0, True),
    ],
    ids=["gateway-wide", "route", "target", "server-timing", "pages", "pages of the route"],
)
async def test_a_binding_or_a_hook_of_the_core_anywhere_makes_chains(
    text: str, number: int, has_own: bool, load_text: Load, environment: Environment
) -> None:
    snapshot = (await compile_snapshot(load_text(text), environment)).snapshot

    assert snapshot.global_chain is not NO_HOOKS
    assert len(snapshot.bindings) == number
    assert (snapshot.routes["r"].chain is not snapshot.global_chain) is has_own
    await snapshot.aclose()
