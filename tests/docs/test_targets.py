"""The configurations of docs/targets.md do what the page says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gateway_core.testing import RunningGateway, ScriptedUpstream

from tests.docs.blocks import blocks_of

BLOCKS = blocks_of(Path(__file__).parents[2] / "docs" / "targets.md")
(PLUGIN,) = [block.text for block in BLOCKS if block.language == "python"]
VERSIONS, ORDER, MIRRORS = [block.text for block in BLOCKS if block.language == "yaml"]


def stamp() -> Any:
    scope: dict[str, Any] = {"__name__": "stamp"}
    exec(PLUGIN, scope)
    return scope["Stamp"]


@contextmanager
def running(text: str) -> Iterator[tuple[RunningGateway, list[ScriptedUpstream]]]:
    """Serve a configuration of the page, with upstreams for the ports that it names."""
    with ExitStack() as stack:
        upstreams = [stack.enter_context(ScriptedUpstream()) for _ in range(3)]
        for number, upstream in enumerate(upstreams, 1):
            text = text.replace(f"http://127.0.0.1:808{number}", upstream.url)
        yield stack.enter_context(RunningGateway(text, plugins=[stamp()])), upstreams


def test_three_of_four_clients_get_the_old_version_and_keep_it() -> None:
    with running(VERSIONS) as (gateway, (stable, canary, standby)):
        answers = [gateway.get("/shop/cart") for _ in range(4)]
        cookies = [answer.headers["set-cookie"].partition(";")[0] for answer in answers]
        for cookie in cookies:
            gateway.get("/shop/cart", headers={"Cookie": cookie})

        assert Counter(request.target for request in stable.requests) == {"/cart": 6}
        assert Counter(request.target for request in canary.requests) == {"/v2/shop/cart": 2}
        assert {request.headers.get("x-stamp") for request in canary.requests} == {"canary"}
        assert {request.headers.get("x-stamp") for request in stable.requests} == {None}
        assert not standby.requests


def test_plugins_run_in_the_order_that_the_page_gives() -> None:
    with running(ORDER) as (gateway, (upstream, *_)):
        gateway.get("/")

        assert upstream.requests[0].headers.get_all("x-stamp") == ["first", "route", "target", "last"]


def test_every_mirror_gets_its_copy_and_only_one_the_credentials() -> None:
    with running(MIRRORS) as (gateway, (users, shadow, other)):
        gateway.get("/users/7", headers={"Authorization": "Bearer x"})
        shadow.wait_for(1)
        other.wait_for(1)

        assert [each.requests[0].target for each in (users, shadow, other)] == ["/users/7"] * 3
        authorizations = [each.requests[0].headers.get("authorization") for each in (users, shadow, other)]
        assert authorizations == ["Bearer x", None, "Bearer x"]
