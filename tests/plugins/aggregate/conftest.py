"""A gateway with an aggregate route, and one scripted upstream that responds by path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_sdk.testing import RunningGateway, ScriptedUpstream, StartGateway
from gateway_plugin_sdk.testing import UpstreamAnswer as Reply

JSON = {"Content-Type": "application/json"}
Script = Mapping[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def reply(value: Any) -> Reply:
    """Return a response: the one given, or one of 200 with a JSON text or value."""
    if isinstance(value, Reply):
        return value
    return Reply(200, value if isinstance(value, bytes) else json.dumps(value), JSON)


class Aggregated:
    """A route of a plugin, and what its upstream received."""

    def __init__(self, running: RunningGateway, upstream: ScriptedUpstream) -> None:
        self.running = running
        self.upstream = upstream

    def get(self, target: str = "/", **options: Any) -> Any:
        """Send a GET."""
        return self.running.get(target, **options)

    @property
    def targets(self) -> list[str]:
        """What the upstream was asked for, in order of the alphabet: parallel calls have none."""
        return sorted(each.target for each in self.upstream.requests)

    def count(self, call: str, outcome: str) -> int:
        """Return how many calls had an outcome."""
        labels = f'binding="aggregate",call="{call}",outcome="{outcome}",route="test"'
        line = f"gateway_aggregate_calls_total{{{labels}}} "
        return sum(
            int(float(each[len(line) :])) for each in self.running.metrics().splitlines() if each.startswith(line)
        )


StartAggregate = Callable[..., Aggregated]


def answer_paths(upstream: ScriptedUpstream, script: Script) -> None:
    """Have an upstream respond by path; 404 to any other."""
    upstream.answer_by(lambda request: reply(script[request.path]) if request.path in script else Reply(404))


@pytest.fixture
def aggregate(gateway: StartGateway, upstream: ScriptedUpstream) -> StartAggregate:
    """Return a function that starts a gateway: calls, what the upstream sends by path, options of the plugin."""

    def start(
        calls: Sequence[Mapping[str, Any]],
        script: Script = NOTHING,
        *,
        path: str = "/",
        before: Sequence[Any] = (),
        plugins: Sequence[Any] = (),
        binding: Mapping[str, Any] = NOTHING,
        document: Mapping[str, Any] = NOTHING,
        **config: Any,
    ) -> Aggregated:
        answer_paths(upstream, script)
        made = [{"target": upstream.url, **each} for each in calls]
        bound = {"name": "aggregate", "config": {"calls": made, **config}, **binding}
        match = {"path_prefix": "/"} if path == "/" else {"path": path}
        route = {"id": "test", **match, "plugins": [*before, bound]}
        return Aggregated(gateway({**document, "routes": [route]}, plugins=[Aggregate, *plugins]), upstream)

    return start


def json_reply(value: Any, status: int = 200, **fields: str) -> Reply:
    headers = {**JSON, **{name.replace("_", "-"): text for name, text in fields.items()}}
    return Reply(status, json.dumps(value), headers)


A = {"name": "a", "path": "/a", "group": "a"}
B = {"name": "b", "path": "/b", "group": "b"}
OPTIONAL = {"required": False}
