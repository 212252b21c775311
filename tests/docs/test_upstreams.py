"""The examples of docs/upstreams.md load, and do what the page says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from gateway_core.clock import SystemClock
from gateway_core.config import GatewayConfig
from gateway_core.descriptors import connections_for
from gateway_core.messages import Request
from gateway_core.proxy.socket_options import KEEPALIVE_OPTIONS
from gateway_core.proxy.upstream.pool import HAPPY_EYEBALLS_DELAY
from gateway_core.proxy.wire.repairs import Leniency
from gateway_core.upstreams import LiveUpstream, UpstreamRuntime
from gateway_core.upstreams.passive_health import UNREACHABLE_SECONDS
from gateway_core.upstreams.resolver import (
    ERROR_SECONDS,
    FRESH_SECONDS,
    PATIENCE,
    QUICK_THREADS,
    SLOW_SECONDS,
    SLOW_THREADS,
    STALE_SECONDS,
)

from tests.core.proxy.wire.test_repairs import CASES
from tests.core.proxy.wire.test_repairs import read as read_response
from tests.docs.blocks import Block, blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "upstreams.md"
SECTIONS = {section.splitlines()[0]: section for section in PAGE.read_text("utf-8").split("\n## ")[1:]}


def example(section: str) -> GatewayConfig:
    text = SECTIONS[section].partition("```yaml\n")[2].partition("```")[0]
    return GatewayConfig.model_validate(yaml.safe_load(text))


@pytest.fixture
async def runtime() -> AsyncIterator[UpstreamRuntime]:
    runtime = UpstreamRuntime(SystemClock())
    yield runtime
    await runtime.aclose()


def open_first(runtime: UpstreamRuntime, section: str) -> LiveUpstream:
    config = example(section).upstreams[0]
    return runtime.open(config.model_copy(update={"health_check": None}))


@pytest.mark.parametrize("block", blocks_of(PAGE), ids=lambda block: block.place)
def test_every_example_loads(block: Block) -> None:
    GatewayConfig.model_validate(yaml.safe_load(block.text))


async def test_the_backup_serves_retries_and_while_the_others_are_ill(runtime: UpstreamRuntime) -> None:
    live = open_first(runtime, "Backup endpoints")
    one, other, backup = live.upstream.endpoints

    assert {live.upstream.pick(None, 1.0) for _ in range(4)} == {one, other}
    assert live.upstream.pick(None, 1.0, [one, other]) is backup
    for endpoint in (one, other):
        endpoint.health.healthy = False
        endpoint.notify()
    assert live.upstream.pick(None, 1.0) is backup
    await live.aclose()


async def test_the_first_part_that_a_request_has_decides(runtime: UpstreamRuntime) -> None:
    live = open_first(runtime, "Sticky sessions")
    upstream = live.upstream
    assert upstream.hash_key is not None
    session = Request("GET", "/", {"Cookie": "session=7"}, client_ip="10.0.0.9")
    address = Request("GET", "/", client_ip="10.0.0.9")

    assert upstream.hash_key(session) == "7"
    assert upstream.hash_key(address) == "10.0.0.9"
    assert len({upstream.pick("7", 1.0) for _ in range(10)}) == 1
    assert Counter(upstream.pick(None, 1.0) for _ in range(8)) == dict(zip(upstream.endpoints, (2, 6), strict=True))
    await live.aclose()


def test_the_numbers_of_the_page_are_the_codes() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())

    assert f"used for **{FRESH_SECONDS:g} s**" in text
    assert STALE_SECONDS == 3600
    assert "for an hour while look-ups fail" in text
    assert f"remembered for {ERROR_SECONDS:g} s" in text
    assert f"wait {PATIENCE:g} s at most" in text
    assert f"threads of their own, {QUICK_THREADS + SLOW_THREADS} at most" in text
    assert SLOW_SECONDS == 1
    assert f"left out for {UNREACHABLE_SECONDS:g} s" in text
    assert f"{connections_for(1 << 20):,} at most" in text


ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTIONS["Responses that break the rules"].splitlines()
    if line.startswith("| ") and not line.startswith("| response")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_the_page_says_of_a_response_is_what_is_done(row: list[str]) -> None:
    name, by_default, tolerant, _ = row

    for leniency, outcome in ((Leniency.REPAIR, by_default), (Leniency.TOLERANT, tolerant)):
        assert (read_response(CASES[name].data, leniency) is None) is (outcome == "502")


def test_the_times_of_the_page_are_those_of_the_kernel() -> None:
    idle, pause, probes = (value for _, value in KEEPALIVE_OPTIONS)

    assert (idle, idle + pause * probes) == (60, 120)
    assert HAPPY_EYEBALLS_DELAY == 0.25
