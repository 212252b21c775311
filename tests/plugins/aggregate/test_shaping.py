from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from gateway_plugin_aggregate.shaping import ShapeError, allowing, denying, read_pointer, renaming, taking
from hypothesis import given
from hypothesis import strategies as st

VALUE = {"id": 1, "user": {"name": "Ann", "mail": "a@x"}, "items": [{"id": 1, "x": 2}, {"id": 2, "x": 3}, 5]}


@pytest.mark.parametrize(
    ("pointers", "kept"),
    [
        (["/id"], {"id": 1}),
        (["/user/name"], {"user": {"name": "Ann"}}),
        (["/user", "/user/name"], {"user": VALUE["user"]}),
        (["/user/name", "/user"], {"user": VALUE["user"]}),
        (["/items/*/id"], {"items": [{"id": 1}, {"id": 2}]}),
        (["/items/*"], {"items": VALUE["items"]}),
        (["/*/name", "/id"], {"id": 1, "user": {"name": "Ann"}}),
        (["/*/name", "/user/mail"], {"user": VALUE["user"]}),
        (["/missing", "/id/deeper", "/items/id"], {}),
        ([], {}),
    ],
)
def test_only_places_that_are_allowed_are_kept(pointers: list[str], kept: Any) -> None:
    assert allowing(pointers)(copy.deepcopy(VALUE)) == kept


@pytest.mark.parametrize(
    ("pointers", "left"),
    [
        (["/id", "/user/mail", "/items"], {"user": {"name": "Ann"}}),
        (["/items/*/x"], {**VALUE, "items": [{"id": 1}, {"id": 2}, 5]}),
        (["/items/*"], {**VALUE, "items": []}),
        (["/user/*"], {**VALUE, "user": {}}),
        (["/*"], {}),
        (["/missing/x", "/id/x"], VALUE),
    ],
)
def test_places_that_are_denied_go(pointers: list[str], left: Any) -> None:
    assert denying(pointers)(copy.deepcopy(VALUE)) == left


@pytest.mark.parametrize(
    ("names", "made"),
    [
        ({"/id": "number"}, {"user": VALUE["user"], "items": VALUE["items"], "number": 1}),
        ({"/items/*/x": "y"}, {**VALUE, "items": [{"id": 1, "y": 2}, {"id": 2, "y": 3}, 5]}),
        ({"/user/name": "mail", "/user/mail": "name"}, {**VALUE, "user": {"mail": "Ann", "name": "a@x"}}),
        ({"/missing": "x"}, VALUE),
    ],
)
def test_members_get_other_names_where_they_are(names: dict[str, str], made: Any) -> None:
    assert renaming(names)(copy.deepcopy(VALUE)) == made


@pytest.mark.parametrize(
    ("names", "reason"),
    [({"/a/*": "x"}, "name one member"), ({"/a": "x", "/a/b": "y"}, "on the way"), ({"a": "x"}, "not a JSON pointer")],
)
def test_names_that_cannot_be_given_are_refused(names: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        renaming(names)


def test_one_part_is_taken() -> None:
    assert taking("/items/1/x")(VALUE) == 3
    assert taking("/user/name")(VALUE) == "Ann"


@pytest.mark.parametrize("pointer", ["/missing", "/items/7", "/items/x", "/id/x", "/items/-1"])
def test_a_part_that_is_missing_cannot_be_taken(pointer: str) -> None:
    with pytest.raises(ShapeError):
        taking(pointer)(VALUE)


@pytest.mark.parametrize(
    ("text", "steps"), [("/a", ("a",)), ("/a~1b/~0", ("a/b", "~")), ("/", ("",)), ("/a/", ("a", ""))]
)
def test_pointers_are_those_of_rfc_6901(text: str, steps: tuple[str, ...]) -> None:
    assert read_pointer(text) == steps


@pytest.mark.parametrize("text", ["", "a", "/~", "/~2", "$.a"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON pointer"):
        read_pointer(text)


def test_stars_beside_names_make_a_bounded_tree() -> None:
    names = [[f"n{level}{number}" for number in range(10)] + ["*"] for level in range(6)]
    pointers = ["/" + "/".join(each) for each in zip(*names, strict=True)]
    pointers += [
        "/" + "/".join("*" if index != level else name for index in range(6))
        for level in range(6)
        for name in names[level]
    ]

    with pytest.raises(ValueError, match="places"):
        allowing(pointers)


_json = st.recursive(
    st.none() | st.integers(0, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
_pointers = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(lambda s: "/" + "/".join(s)), max_size=4
)


def _places(value: Any, steps: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [steps]
    if isinstance(value, dict):
        found += [each for name, inner in value.items() for each in _places(inner, (*steps, name))]
    if isinstance(value, list):
        found += [each for inner in value for each in _places(inner, (*steps, "*"))]
    return found


def _is_below(place: tuple[str, ...], pointers: list[str]) -> bool:
    patterns = [read_pointer(each) for each in pointers]
    return any(
        len(place) >= len(each) and all(b in (a, "*") for a, b in zip(place, each, strict=False)) for each in patterns
    )


@given(_json, _pointers)
def test_allowing_and_denying_the_same_places_share_nothing_and_miss_nothing(value: Any, pointers: list[str]) -> None:
    allowed = allowing(pointers)(copy.deepcopy(value))
    denied = denying(pointers)(copy.deepcopy(value))

    leaves = {place for place in _places(value) if _is_below(place, pointers)}
    assert leaves <= set(_places(allowed))
    assert not any(_is_below(place, pointers) for place in _places(denied))
    assert json.dumps(allowed)
