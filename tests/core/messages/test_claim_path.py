from __future__ import annotations

from collections import ChainMap
from types import MappingProxyType
from typing import Any

import pytest
from gateway_core.messages import MISSING, claim_path
from hypothesis import given
from hypothesis import strategies as st

CLAIMS = {
    "sub": "a", "null": None, "realm": {"roles": ["x", "y"], "deep": {"er": 1}}, "https://a.example/r": 5,
    "https://hasura.io/jwt/claims": {"x-hasura-user-id": "7", "x.y/z": 9},
    "a.b": {"c.d": 6, "c": {"d": 7}}, "list": [{"x": 1}, [2, 3]], "a": {"b": {"e": 8}}, "1": "one", r"back\slash.es": 4,
    "": {"": "nameless"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sub", "a"), ("null", None), ("realm.roles", ["x", "y"]), ("realm.deep.er", 1), ("https://a.example/r", 5),
        ("https://hasura.io/jwt/claims.x-hasura-user-id", "7"), ("https://hasura.io/jwt/claims.x.y/z", 9),
        ("a.b", {"c.d": 6, "c": {"d": 7}}), ("a.b.c.d", 6), ("1", "one"), (".", "nameless"), ("", {"": "nameless"}),
    ],
)  # fmt: skip
def test_the_longest_name_comes_first(path: str, value: Any) -> None:
    assert claim_path(path)(CLAIMS) == value


def test_a_long_name_without_the_rest_hides_no_nested_claim() -> None:
    assert claim_path("a.b.e")(CLAIMS) == 8


@pytest.mark.parametrize("path", ["x", "sub.x", "null.x", "realm.", ".sub", "realm..roles", "a.b.c.d.e", "sub.0"])
def test_a_claim_that_is_not_there_is_missing(path: str) -> None:
    assert claim_path(path)(CLAIMS) is MISSING


@pytest.mark.parametrize(
    ("path", "value"), [("realm.roles.0", "x"), ("realm.roles.1", "y"), ("list.0.x", 1), ("list.1.1", 3)]
)
def test_lists_have_indices(path: str, value: Any) -> None:
    assert claim_path(path)(CLAIMS) == value


@pytest.mark.parametrize("index", ["2", "-1", "+0", "00", "01", "0x0", "0 ", "\u0660", "\u00b2", "1_0", "", "9" * 5000])
def test_an_index_has_one_spelling(index: str) -> None:
    assert claim_path(f"realm.roles.{index}")(CLAIMS) is MISSING


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (r"a\.b", CLAIMS["a.b"]), (r"a\.b.c.d", 7), (r"a\.b.c\.d", 6), (r"a\.b.e", MISSING), (r"a.b\.e", MISSING),
        (r"https://hasura\.io/jwt/claims.x-hasura-user-id", "7"), (r"back\slash.es", 4), (r"back\\slash\.es", 4),
        (r"back\slash\.es", 4), ("sub\\", MISSING),
    ],
)  # fmt: skip
def test_a_backslash_makes_a_path_exact(path: str, value: Any) -> None:
    assert claim_path(path)(CLAIMS) == value


@pytest.mark.parametrize("of", [dict, MappingProxyType, ChainMap])
def test_every_kind_of_mapping_is_read(of: Any) -> None:
    claims = of({"org": of({"id": 7, "units": (of({"name": "x"}),)})})

    assert claim_path("org.id")(claims) == 7
    assert claim_path("org.units.0.name")(claims) == "x"


@pytest.mark.parametrize("claims", [None, 5, "org.id", [], object()])
@pytest.mark.parametrize("path", ["org", "org.id", r"org\.id"])
def test_what_is_no_object_has_no_claims(claims: object, path: str) -> None:
    assert claim_path(path)(claims) is MISSING


def test_missing_is_false_and_tells_its_name() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"


def test_deep_claims_are_read_without_recursion() -> None:
    claims: Any = "bottom"
    for _ in range(100_000):
        claims = {"a": claims}

    # Compared as a bool: a failure must not print the claims.
    assert (claim_path(".".join("a" * 10_000))({"x": 1}) is MISSING) is True
    assert (claim_path(".".join("a" * 1_200))(claims) is not MISSING) is True
    while isinstance(claims, dict):  # the interpreter takes nested dicts apart by recursion
        claims = claims.pop("a")


names = st.text("ab.\\", min_size=1, max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.01\\", max_size=3), inner, max_size=3),
)


@given(json_values, st.text("ab.01\\", max_size=8))
def test_reading_never_raises(claims: Any, path: str) -> None:
    claim_path(path)(claims)


@given(st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_only_claim_is_found_at_its_path(path: list[str]) -> None:
    claims: Any = "here"
    for name in reversed(path):
        claims = {name: claims}

    assert claim_path(".".join(path))(claims) == "here"


@given(st.lists(names, min_size=1, max_size=4), st.dictionaries(names, st.integers(), max_size=4))
def test_an_escaped_path_names_one_claim_whatever_is_beside_it(path: list[str], beside: dict[str, int]) -> None:
    claims: Any = "here"
    for name in reversed(path):
        claims = {**beside, name: claims}
    written = ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path)
    if "\\" not in written or written in beside:
        return

    assert claim_path(written)(claims) == "here"


@given(st.dictionaries(st.text("ab.", max_size=4), json_values, max_size=4))
def test_every_name_finds_its_own_value(claims: dict[str, Any]) -> None:
    for name, value in claims.items():
        assert claim_path(name)(claims) is value


NAMES = st.sampled_from(["", "a", "b", "a.b", "0"])
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.just("text"),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.lists(NAMES, min_size=1, max_size=3).map(".".join), st.booleans())
def test_the_quick_ways_read_what_the_general_one_reads(claims: dict[str, Any], path: str, frozen: bool) -> None:
    read = claim_path(path)

    assert read(MappingProxyType(claims) if frozen else claims) == read(ChainMap(claims))
