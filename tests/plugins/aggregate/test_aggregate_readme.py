"""What the README has happens, and every option is in one of its examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_aggregate.calls import REASONS
from gateway_plugin_aggregate.config import AggregateConfig, CallConfig
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.plugins.aggregate.examples import Example, examples_of

pytestmark = pytest.mark.in_turn
README = Path(__file__).parents[3] / "plugins" / "aggregate" / "README.md"


@pytest.mark.parametrize("example", examples_of(README), ids=lambda each: each.target)
def test_an_example_happens_as_it_is_shown(gateway: StartGateway, upstream: ScriptedUpstream, example: Example) -> None:
    running = gateway(example.served_by(upstream.url), plugins=[Aggregate])
    upstream.answer_by(example.answer)
    method = (example.document["routes"][0].get("methods") or ["GET"])[0]

    response = running.request(method, example.target)

    assert response.text == example.received
    assert {each.target for each in upstream.requests} == set(example.sent)


def test_every_option_is_in_an_example_and_described() -> None:
    text = "".join(re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL))
    fields = [*AggregateConfig.model_fields.items(), *CallConfig.model_fields.items()]

    assert [name for name, _ in fields if not re.search(rf"\b{name}:", text)] == []
    assert all(field.description for _, field in fields)


def test_every_reason_is_listed() -> None:
    text = README.read_text()

    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []
