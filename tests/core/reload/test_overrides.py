from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from gateway_core.reload.overrides import Override, Overrides, OverrideStore, in_force, with_one, without
from hypothesis import given
from hypothesis import strategies as st


def override(kind: Any = "drain", name: str = "a", expires: float = 200.0, upstream: str = "users") -> Override:
    return Override(kind, name, "ops", 100.0, expires, "disk", upstream if kind in {"drain", "up"} else "")


@given(
    st.lists(
        st.builds(
            override, st.sampled_from(["drain", "up", "release", "log-level"]), st.sampled_from("ab"), st.floats(0, 400)
        )
    )
)
def test_one_subject_has_one_override_the_latest(made: list[Override]) -> None:
    there: Overrides = ()
    for each in made:
        there = with_one(there, each)

    assert len({each.subject for each in there}) == len(there)
    assert {each.subject: each for each in made} == {each.subject: each for each in there}
    assert all(each.expires > 200 for each in in_force(there, 200.0))
    for each in there:
        assert each not in without(there, each.subject)


def test_overrides_are_kept_for_the_next_start_of_the_same_configuration(tmp_path: Path) -> None:
    store = OverrideStore(tmp_path / "state", ["gateway.yaml"])
    assert store.load() == ()

    store.change(lambda there: with_one(there, override()))

    assert OverrideStore(tmp_path / "state", ["gateway.yaml"]).load() == (override(),)
    assert OverrideStore(tmp_path / "state", ["other.yaml"]).load() == ()
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_two_gateways_that_share_a_directory_do_not_lose_each_others_overrides(tmp_path: Path) -> None:
    one, two = (OverrideStore(tmp_path, ["gateway.yaml"]) for _ in range(2))
    one.load(), two.load()

    one.change(lambda there: with_one(there, override(name="a")))
    two.change(lambda there: with_one(there, override(name="b")))

    assert {each.name for each in one.load()} == {each.name for each in two.load()} == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting"),
        ('{"format": 2, "overrides": []}', "another version"),
        ('{"format": 1}', "damaged"),
        ('{"format": 1, "overrides": [{"kind": "drain"}]}', "damaged"),
        (
            '{"format": 1, "overrides": [{"kind": "x", "name": "a", "by": "b", "at": 1, "expires": 2}]}',
            "there is no override 'x'",
        ),
        ("[" * 100_000, "damaged"),
    ],
)
def test_a_damaged_file_is_no_empty_one(tmp_path: Path, content: str, why: str) -> None:
    store = OverrideStore(tmp_path, ["gateway.yaml"])
    store.path.write_text(content)

    with pytest.raises(ValueError, match=why):
        store.load()
    with pytest.raises(ValueError, match=why):
        store.change(lambda there: there)
    assert store.path.read_text() == content


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"expires": "never"}, "expires of an override is no time"),
        ({"expires": None}, "expires of an override is no time"),
        ({"expires": True}, "expires of an override is no time"),
        ({"expires": float("nan")}, "expires of an override is no time"),
        ({"expires": float("inf")}, "expires of an override is no time"),
        ({"at": 1e300}, "at of an override is no time"),
        ({"name": ["a"]}, "name of an override is no text"),
        ({"upstream": None}, "upstream of an override is no text"),
        ({"by": {}}, "by of an override is no text"),
        ({"kind": ["drain"]}, "kind of an override is no text"),
        ({"kind": "log-level", "name": "loud"}, "there is no level 'loud'"),
    ],
    ids=str,
)
def test_an_override_of_another_shape_is_damage(tmp_path: Path, part: dict[str, Any], why: str) -> None:
    store = OverrideStore(tmp_path, ["gateway.yaml"])
    store.path.write_text(json.dumps({"format": 1, "overrides": [{**asdict(override()), **part}]}))

    with pytest.raises(ValueError, match=why):
        store.load()


def test_what_is_no_regular_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    store = OverrideStore(tmp_path, ["gateway.yaml"])
    os.mkfifo(store.path, 0o600)
    with pytest.raises(OSError, match="a pipe"):
        store.load()
    store.path.unlink()
    store.path.write_bytes(b" " * ((4 << 20) + 1))

    with pytest.raises(OSError, match="larger than"):
        store.load()
