from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from gateway_plugin_transform.changes import Change, ChangeError, TooLargeError
from gateway_plugin_transform.config import ChangeConfig
from hypothesis import given
from hypothesis import strategies as st


def changed(value: Any, **config: Any) -> Any:
    change = Change(ChangeConfig.model_validate(config), 1000, 1000)
    return json.loads(change.json(json.dumps(value).encode()))


@pytest.mark.parametrize(
    ("config", "value", "expected"),
    [
        ({"set": {"/a": 1}}, {}, {"a": 1}),
        ({"set": {"/a/b": 1}}, {"a": {"c": 2}}, {"a": {"c": 2, "b": 1}}),
        ({"set": {"/a/b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"set": {"/l/0": 1, "/l/9": 2, "/l/-": 3}}, {"l": [0]}, {"l": [1, 3]}),
        ({"set": {"/l/*/x": 1}}, {"l": [{}, {"x": 2}, 3]}, {"l": [{"x": 1}, {"x": 1}, 3]}),
        ({"set": {"/*": 1}}, {"a": 0, "b": 0}, {"a": 1, "b": 1}),
        ({"set": {"/a~1b": 1}}, {}, {"a/b": 1}),
        ({"set": {"/a": 1}}, [0], [0]),
        ({"set": {"/a": 1}}, "text", "text"),
        ({"default": {"/a": 1, "/b/c": 2}}, {"a": None}, {"a": None, "b": {"c": 2}}),
        ({"default": {"/l/*/x": 1}}, {"l": [{}, {"x": 2}]}, {"l": [{"x": 1}, {"x": 2}]}),
        ({"remove": ["/a", "/none", "/l/0"]}, {"a": 1, "l": [1, 2]}, {"l": [2]}),
        ({"remove": ["/l/*/x", "/o/*"]}, {"l": [{"x": 1, "y": 2}], "o": {"p": 1}}, {"l": [{"y": 2}], "o": {}}),
        ({"remove": ["/l/01"]}, {"l": [1, 2]}, {"l": [1, 2]}),
        ({"rename": {"/a": "/b/c", "/none": "/d"}}, {"a": [1]}, {"b": {"c": [1]}}),
        ({"rename": {"/a": "/b", "/c": "/a"}}, {"a": 1, "c": 2}, {"b": 1, "a": 2}),
        ({"jmespath": "items[?n > `1`].n"}, {"items": [{"n": 1}, {"n": 2}]}, [2]),
        ({"template": {"x": "{{ a }}", "y": "<{{ a }}|{{ c }}>", "z": [1]}}, {"a": 7}, {"x": 7, "y": "<7|>", "z": [1]}),
        ({"jmespath": "a", "template": "{{ b }}", "set": {"/c": 1}}, {"a": {"b": {}}}, {"c": 1}),
        ({"template": ["{{ a }}", "{{ a }}"], "set": {"/0/x": 1}}, {"a": {}}, [{"x": 1}, {}]),
    ],
)  # fmt: skip
def test_a_change_makes_of_a_value(config: dict[str, Any], value: Any, expected: Any) -> None:
    assert changed(value, **config) == expected


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab*"), inner, max_size=3),
)
POINTERS = st.lists(st.sampled_from(["a", "b", "0", "*", "-"]), min_size=1, max_size=4).map(lambda s: "/" + "/".join(s))


@given(value=JSON, place=POINTERS)
def test_any_place_of_any_value_is_changed_or_left(value: Any, place: str) -> None:
    given_value = copy.deepcopy(value)

    assert changed(changed(value, remove=[place]), remove=["/none"]) is not Ellipsis
    changed(value, set={place: {"x": []}}, default={place: 1})

    assert value == given_value


def test_values_of_the_configuration_are_not_shared_between_bodies() -> None:
    change = Change(ChangeConfig.model_validate({"set": {"/l": []}, "template": {}}), 1000, 1000)
    change.json(b"{}")
    more = Change(ChangeConfig.model_validate({"default": {"/o": {}}, "set": {"/o/x": 1}}), 1000, 1000)

    assert [more.json(b"{}"), more.json(b"{}"), change.json(b"{}")] == [b'{"o":{"x":1}}'] * 2 + [b'{"l":[]}']


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "no JSON at line 1"),
        (b"\xff", "no UTF-8"),
        (b'{"b": {"a": 1, "a": 2}}', "an object has a name twice"),
        (b"NaN", "NaN is no JSON"),
        (b"[1e999]", "out of range"),
        (b"[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_what_readers_could_take_differently_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(ChangeError, match=reason):
        Change(ChangeConfig.model_validate({"remove": ["/a"]}), 1000, 1000).json(data)


@pytest.mark.parametrize(
    ("config", "operations"),
    [
        ({"remove": ["/*/a"]}, 20),
        ({"remove": ["/0/*/a"]}, 2),
        ({"set": {"/*/x": 1}}, 20),
        ({"set": {"/*": 1}}, 20),
        ({"default": {"/0/*": 1}}, 2),
        ({"jmespath": "[?a].b"}, 23),  # the projection, its list, twenty conditions, and what one item has
        ({"jmespath": "length(@)"}, 22),
        ({"template": {"x": "{{ @ }}", "y": "{{ [0].a }}"}}, 6),
    ],
)
def test_a_body_may_take_so_many_operations(config: dict[str, Any], operations: int) -> None:
    data = json.dumps([{"a": 0, "b": {}}] + [[]] * 19).encode()
    changes = [Change(ChangeConfig.model_validate(config), 1000, operations - less) for less in (0, 1)]

    assert [changes[0].json(data), changes[0].json(data)]
    with pytest.raises(TooLargeError):
        changes[1].json(data)


def test_an_expression_that_cannot_take_a_body_is_an_error() -> None:
    with pytest.raises(ChangeError, match="not what the change expects"):
        changed({"a": 1}, jmespath="length(a)")


def test_a_result_is_bounded() -> None:
    with pytest.raises(ChangeError, match="too large"):
        changed("x" * 500, template=["{{ @ }}"] * 20)
