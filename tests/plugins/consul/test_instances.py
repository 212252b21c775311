from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_consul.instances import InstancesError, keep_same, read_instances
from gateway_plugin_sdk import EndpointSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.consul.agent import instance


def read(*entries: Any, include_warning: bool = False) -> list[EndpointSpec]:
    return list(read_instances(json.dumps(entries).encode(), "http", include_warning=include_warning).values())


@pytest.mark.parametrize(
    ("statuses", "include_warning", "weights"),
    [
        ([], False, [5]),
        (["passing"], False, [5]),
        (["passing", "warning"], False, []),
        (["passing", "warning"], True, [2]),
        (["warning", "critical"], True, []),
        (["maintenance"], True, []),
    ],
)
def test_the_worst_check_counts(statuses: list[str], include_warning: bool, weights: list[int]) -> None:
    entry = instance("10.0.0.1", Weights={"Passing": 5, "Warning": 2})
    entry["Checks"] = [{"Status": status} for status in statuses]

    assert [spec.weight for spec in read(entry, include_warning=include_warning)] == weights


def test_an_instance_without_an_address_has_that_of_its_node() -> None:
    assert [spec.id for spec in read(instance(""), instance("::1"))] == ["10.9.9.9:8080", "[::1]:8080"]


def test_instances_at_one_address_are_one_endpoint() -> None:
    assert len(read(instance("10.0.0.1", ID="a"), instance("10.0.0.1", ID="b"))) == 1


@pytest.mark.parametrize("weights", [None, {}, {"Passing": "x"}, {"Passing": -1}])
def test_a_weight_that_is_none_is_1(weights: object) -> None:
    assert [spec.weight for spec in read(instance("10.0.0.1", Weights=weights))] == [1]


@pytest.mark.parametrize("port", [0, -1, 70000, "80", None])
def test_an_instance_without_a_port_is_left_out(port: Any) -> None:
    assert read(instance("10.0.0.1", port)) == []


@pytest.mark.parametrize(("host", "port"), [("10.0.0.1", 0), ("no host", 80), ("ä" * 80, 80), ("a\r\nb", 80)])
def test_an_instance_that_cannot_be_used_is_named_and_leaves_the_others(host: str, port: int) -> None:
    refused: list[str] = []
    body = json.dumps([instance(host, port), instance("10.0.0.2")]).encode()

    found = read_instances(body, "http", include_warning=False, refuse=refused.append)

    assert list(found) == ["10.0.0.2:8080"]
    assert len(refused) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"null"])
def test_an_answer_that_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(InstancesError, match="no list of service instances"):
        read_instances(body, "http", include_warning=False)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Service", "Node", "Checks", "Status", "Port", "Address", "Weights"]), inner)
    ),
    max_leaves=15,
)


@given(st.lists(JSON, max_size=3))
def test_whatever_a_list_holds_it_is_read(entries: list[Any]) -> None:
    read(*entries)


def test_what_is_the_same_is_the_same_object() -> None:
    a, b = EndpointSpec("http", "a", 80), EndpointSpec("http", "b", 80)
    before = {"a": a, "b": b}

    kept = keep_same(before, {"b": EndpointSpec("http", "b", 80, weight=2), "a": EndpointSpec("http", "a", 80)})

    assert kept["a"] is a
    assert kept["b"].weight == 2
