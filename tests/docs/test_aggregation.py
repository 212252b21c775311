"""What docs/aggregation.md says is what a gateway does."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_auth import Auth
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.plugins.aggregate.examples import Example, examples_of

PAGE = Path(__file__).parents[2] / "docs" / "aggregation.md"


@pytest.mark.parametrize("example", examples_of(PAGE), ids=lambda each: each.document["routes"][0]["id"])
def test_calls_become_what_its_tables_have(gateway: StartGateway, upstream: ScriptedUpstream, example: Example) -> None:
    running = gateway(example.served_by(upstream.url), plugins=[Aggregate, Auth])
    upstream.answer_by(example.answer)

    response = running.get(example.target or "/account")

    assert response.text == example.received or (response.status == 401 and not example.target)
