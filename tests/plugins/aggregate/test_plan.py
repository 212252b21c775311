from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_aggregate.config import AggregateConfig
from gateway_plugin_aggregate.plan import Waits, make_plan
from gateway_plugin_sdk.testing import InvalidConfigError, StartGateway


def config_of(*calls: dict[str, Any], **options: Any) -> AggregateConfig:
    made = [
        {"name": f"c{index}", "target": "http://127.0.0.1:1", "path": "/", **each} for index, each in enumerate(calls)
    ]
    return AggregateConfig.model_validate({"calls": made, **options})


def findings(*calls: dict[str, Any], **options: Any) -> list[tuple[Any, ...]]:
    found = Aggregate.check_config(config_of(*calls, **options))
    return [(each.code, each.path, each.severity) for each in found]


pytestmark = pytest.mark.in_turn
USES_1 = {"path": "/{call:c1.id}"}


@pytest.mark.parametrize(
    ("calls", "code", "path"),
    [
        ([{"name": "a"}, {"name": "a"}], "duplicate-call", ("calls", 1, "name")),
        ([{"path": "/{call:nope.id}"}], "unknown-call", ("calls", 0, "path")),
        ([{"query": {"q": "{call:nope.id}"}}], "unknown-call", ("calls", 0, "query", "q")),
        ([{"headers": {"X-A": "{call:nope.id}"}}], "unknown-call", ("calls", 0, "headers", "X-A")),
        ([{"method": "POST", "body": ["{call:nope}"]}], "unknown-call", ("calls", 0, "body")),
        ([{"depends_on": ["nope"]}], "unknown-call", ("calls", 0, "depends_on", 0)),
        ([USES_1, {}], "later-call", ("calls", 0, "path")),
        ([USES_1, {"path": "/{call:c0.id}"}], "call-cycle", ("calls", 0, "path")),
        ([{"path": "/{call:c0.id}"}], "call-cycle", ("calls", 0, "path")),
        ([{"method": "POST"}, {"method": "DELETE"}], "several-changes", ("calls", 1, "method")),
        ([{"group": "a"}, {"group": "a"}], "duplicate-group", ("calls", 1, "group")),
        ([{"group": "a"}, {"allow": ["/a/b"]}], "conflicting-fields", ("calls", 1, "allow")),
        ([{"allow": ["/a"], "rename": {"/a": "b"}}, {"allow": ["/b"]}], "conflicting-fields", ("calls", 1, "allow")),
        ([{"allow": ["/b"]}, {"group": "b"}], "conflicting-fields", ("calls", 1, "group")),
        (
            [{"response_headers": ["X-A"]}, {"response_headers": ["x-a"]}],
            "conflicting-headers",
            ("calls", 1, "response_headers", 0),
        ),
    ],
)
def test_what_calls_cannot_mean_together_is_a_problem(calls: list[dict[str, Any]], code: str, path: Any) -> None:
    assert (code, path, "error") in findings(*calls)


def test_a_group_with_the_name_of_a_static_member_is_a_problem() -> None:
    assert findings({"group": "v"}, static={"v": 1}) == [("conflicting-fields", ("calls", 0, "group"), "error")]


@pytest.mark.parametrize(
    ("calls", "code"),
    [([{"max_body_bytes": "33KiB"}], "long-pauses"), ([{"timeout": "11s"}], "unused-timeout")],
)
def test_what_may_be_meant_is_a_warning(calls: list[dict[str, Any]], code: str) -> None:
    assert [(code, "warning")] == [(each[0], each[2]) for each in findings(*calls)]


def test_calls_that_go_together_have_no_finding() -> None:
    cookie = {"response_headers": ["Set-Cookie"]}
    calls: list[dict[str, Any]] = [
        {"allow": ["/a"], "rename": {"/a": "b"}, **cookie},
        {"allow": ["/a"], **cookie},
        {"path": "/{call:c0.id}"},
    ]

    assert findings(*calls, {"include": False}, {"method": "PUT", "group": "put"}) == []


def test_a_call_that_changes_something_waits_for_all_required_calls_that_do_not_wait_for_it() -> None:
    calls: list[dict[str, Any]] = [
        {},
        {"required": False},
        {"method": "POST", "path": "/{call:c1.id}"},
        {"depends_on": ["c2"]},
        {},
    ]

    plan = make_plan(config_of(*calls).calls)

    assert plan["c2"] == Waits(frozenset({"c1"}), frozenset({"c0", "c4"}))
    assert plan["c3"] == Waits(frozenset({"c2"}), frozenset())
    assert plan["c4"] == Waits(frozenset(), frozenset())


def test_check_names_place_and_remedy(gateway: StartGateway) -> None:
    call = {"name": "a", "target": "http://127.0.0.1:1", "path": "/{call:b.id}/{param:id}", "url_pattern": "/"}
    bound = {"name": "aggregate", "config": {"calls": [call]}}
    route = {"id": "r", "path": "/x", "plugins": [bound]}

    with pytest.raises(InvalidConfigError) as unknown:
        gateway({"routes": [route]}, plugins=[Aggregate])
    del call["url_pattern"]
    with pytest.raises(InvalidConfigError) as wrong:
        gateway({"routes": [route]}, plugins=[Aggregate])

    assert "write path, with {param:id}" in str(unknown.value)
    assert "names the call 'b', which there is not: write one that is above it" in str(wrong.value)
    assert "calls[0].path" in str(wrong.value)
    assert "aggregate.unknown-call" in {each.code for each in wrong.value.problems}


def test_a_parameter_that_no_path_captures_is_a_problem(gateway: StartGateway) -> None:
    call = {"name": "a", "target": "http://127.0.0.1:1", "path": "/{param:id}"}
    route = {"id": "r", "path": "/x", "plugins": [{"name": "aggregate", "config": {"calls": [call]}}]}

    with pytest.raises(InvalidConfigError, match="id"):
        gateway({"routes": [route]}, plugins=[Aggregate])


def test_an_unknown_upstream_is_a_problem(gateway: StartGateway) -> None:
    call = {"name": "a", "target": "users", "path": "/"}
    route = {"id": "r", "path": "/x", "plugins": [{"name": "aggregate", "config": {"calls": [call]}}]}

    with pytest.raises(InvalidConfigError, match="users"):
        gateway({"routes": [route]}, plugins=[Aggregate])


def test_values_of_the_caller_need_a_plugin_that_knows_it(gateway: StartGateway) -> None:
    call = {"name": "a", "target": "http://127.0.0.1:1", "path": "/{claim:org}"}
    route = {"id": "r", "path": "/x", "plugins": [{"name": "aggregate", "config": {"calls": [call]}}]}

    with pytest.raises(InvalidConfigError, match="identity"):
        gateway({"routes": [route]}, plugins=[Aggregate])
