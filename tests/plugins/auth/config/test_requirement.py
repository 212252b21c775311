from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config.requirement import Requirement, lets_strangers_in, names_in
from pydantic import TypeAdapter

TREE: TypeAdapter[Any] = TypeAdapter(Requirement)


@pytest.mark.parametrize(
    ("tree", "names", "is_open"),
    [
        ("a", ["a"], False),
        ({"any": ["a", {"all": ["b", "c"]}]}, ["a", "b", "c"], False),
        ({"optional": "a"}, ["a"], True),
        ({"attempt": {"any": ["a", "b"]}}, ["a", "b"], True),
        ({"any": ["a", {"optional": "b"}]}, ["a", "b"], True),
        ({"all": ["a", {"optional": "b"}]}, ["a", "b"], False),
        ({"all": [{"attempt": "a"}, {"optional": "b"}]}, ["a", "b"], True),
    ],
)
def test_trees_are_read(tree: Any, names: list[str], is_open: bool) -> None:
    requirement = TREE.validate_python(tree)

    assert list(names_in(requirement)) == names
    assert lets_strangers_in(requirement) == is_open
    assert TREE.validate_python(TREE.dump_python(requirement)) == requirement
