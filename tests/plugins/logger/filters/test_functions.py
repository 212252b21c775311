from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.filters import functions
from hypothesis import given
from hypothesis import strategies as st

anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.text())
)
ARGUMENTS = {"matches": ["a"], "starts_with": ["a"], "ends_with": ["a"], "in_network": ["10.0.0.0/8"], "lower": []}


@pytest.mark.parametrize("name", functions.FUNCTIONS)
@given(value=anything)
def test_functions_take_anything_and_say_no_to_what_is_not_for_them(name: str, value: Any) -> None:
    answer = functions.FUNCTIONS[name].make(*ARGUMENTS[name])(value)

    assert isinstance(value, str) or not answer


@given(anything, anything)
def test_comparisons_take_anything(left: Any, right: Any) -> None:
    for compare in (functions.less, functions.at_most, functions.more, functions.at_least, functions.contains):
        assert compare(left, right) in {True, False}


def test_contains_looks_into_texts_lists_and_objects() -> None:
    assert functions.contains("abc", "b")
    assert functions.contains(["a"], "a")
    assert functions.contains({"a": 1}, "a")
    assert not functions.contains("abc", 1)
    assert not functions.contains(["a"], "b")


@pytest.mark.parametrize("function", functions.FUNCTIONS.values())
def test_every_function_has_an_example_that_compiles(function: functions.Function) -> None:
    from gateway_plugin_logger.filters.expression import compile_predicate

    compile_predicate(function.example, undecided=True)
