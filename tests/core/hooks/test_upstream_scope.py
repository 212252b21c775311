"""What names of upstreams mean, and how long upstreams that are named by URL stay open."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gateway_core.clock import SystemClock
from gateway_core.errors import UpstreamError
from gateway_core.hooks import UpstreamScope, current_scope
from gateway_core.hooks.upstream_scope import MOST_URLS
from gateway_core.upstreams.runtime import LiveUpstream, UpstreamRuntime, config_for_url


def make_scope() -> tuple[UpstreamScope, list[str]]:
    runtime, opened = UpstreamRuntime(SystemClock()), []

    def open_url(url: str) -> LiveUpstream:
        opened.append(url)
        return runtime.open(config_for_url(url))

    return UpstreamScope(open_url), opened


async def test_a_url_is_opened_once() -> None:
    scope, opened = make_scope()

    assert scope.find("http://127.0.0.1:1") is scope.find("http://127.0.0.1:1")
    assert opened == ["http://127.0.0.1:1"]
    await scope.aclose()


async def test_configured_names_come_first() -> None:
    scope, opened = make_scope()
    known = cast("Any", object())
    scope.upstreams = {"http://127.0.0.1:1": known}

    assert scope.find("http://127.0.0.1:1") is known
    assert opened == []


@pytest.mark.parametrize("name", ["unknown", "http://127.0.0.1:1/path", "ftp://a"])
async def test_what_is_no_upstream_is_a_503(name: str) -> None:
    scope, _ = make_scope()

    with pytest.raises(UpstreamError) as caught:
        scope.find(name)

    assert (caught.value.status, caught.value.reason) == (503, "upstream.unknown")


async def test_the_least_recently_used_url_is_closed_when_there_are_too_many() -> None:
    scope, opened = make_scope()
    for port in range(1, MOST_URLS + 1):
        scope.find(f"http://127.0.0.1:{port}")
    scope.find("http://127.0.0.1:1")
    scope.find("http://127.0.0.1:9999")
    opened.clear()

    scope.find("http://127.0.0.1:1")
    scope.find("http://127.0.0.1:2")

    assert opened == ["http://127.0.0.1:2"]
    await scope.aclose()


async def test_the_scope_counts_in_copies_of_its_context_and_is_marked_when_closed() -> None:
    scope, _ = make_scope()
    context = scope.context.copy()

    assert context.run(current_scope.get) is scope
    assert current_scope.get() is None
    await scope.aclose()
    assert scope.is_closed
    with pytest.raises(UpstreamError):
        scope.find("http://127.0.0.1:1")
