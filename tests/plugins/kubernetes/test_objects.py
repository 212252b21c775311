from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_kubernetes.objects import (
    ConfigMap,
    Service,
    Slice,
    SliceEndpoint,
    SlicePort,
    read_config_map,
    read_service,
    read_slice,
)
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "labels",
                    "annotations",
                    "spec",
                    "ports",
                    "port",
                    "name",
                    "endpoints",
                    "addresses",
                    "conditions",
                    "data",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "ports", "endpoints", "data"]), JSON))
def test_whatever_an_object_holds_it_is_read(item: dict[str, Any]) -> None:
    read_service(item)
    read_slice(item)
    read_config_map(item)


def test_a_service_has_a_strategy_and_named_ports() -> None:
    item = {
        "metadata": {"annotations": {"gateway/load-balancer": " random "}},
        "spec": {
            "ports": [{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 81, "protocol": "TCP"}]
        },
    }

    assert read_service(item) == Service("random", ((80, "http"), (81, "")))


@pytest.mark.parametrize(
    ("conditions", "endpoint"),
    [
        ({}, (True, False, True)),
        (None, (True, False, True)),
        ({"ready": None}, (True, False, True)),
        ({"ready": False}, (False, False, False)),
        ({"ready": True, "serving": False}, (True, False, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": False, "terminating": True}, (False, True, False)),
    ],
)
def test_what_a_condition_does_not_say_is_as_the_api_says(conditions: Any, endpoint: tuple[bool, bool, bool]) -> None:
    item = {
        "metadata": {"labels": {"kubernetes.io/service-name": "users"}},
        "ports": [
            {"name": None, "port": 8080, "appProtocol": "https"},
            {"port": None},
            {"port": 1, "protocol": "SCTP"},
        ],
        "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": conditions}, {"addresses": []}],
    }

    assert read_slice(item) == Slice("users", (SlicePort("", 8080, "https"),), (SliceEndpoint("10.0.0.1", *endpoint),))


def test_a_bookmark_holds_nothing() -> None:
    assert read_slice({"metadata": {"resourceVersion": "7"}, "endpoints": None, "ports": None}) == Slice("")


def test_a_config_map_has_texts_only() -> None:
    item = {"data": {"b": "2", "a": "1"}, "binaryData": {"c": "AA=="}}

    assert read_config_map(item) == ConfigMap((("a", "1"), ("b", "2")))
