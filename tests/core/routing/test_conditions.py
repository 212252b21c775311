from __future__ import annotations

import pytest
from gateway_core.routing import ConditionError, ValueCondition
from gateway_core.routing.conditions import QueryValues, compile_conditions, parse_query


def holds(condition: ValueCondition, value: str | None) -> bool:
    conditions = compile_conditions((condition,), ())
    assert conditions is not None
    return conditions.hold({"x-a": value}.get, QueryValues(""))


@pytest.mark.parametrize(
    ("condition", "accepted", "refused"),
    [
        (ValueCondition("X-A", value="2"), ["2"], ["", "22", "x", None]),
        (ValueCondition("X-A", value=""), [""], ["2", None]),
        (ValueCondition("X-A", regex="[0-9]+"), ["2", "22"], ["", "2x", None]),
        (ValueCondition("X-A", regex=".*"), ["", "2"], [None]),
        (ValueCondition("X-A", present=True), ["", "2"], [None]),
        (ValueCondition("X-A", present=False), [None], ["", "2"]),
    ],
)
def test_conditions_accept_and_refuse(
    condition: ValueCondition, accepted: list[str | None], refused: list[str | None]
) -> None:
    assert [value for value in accepted if not holds(condition, value)] == []
    assert [value for value in refused if holds(condition, value)] == []


def test_the_first_of_repeated_query_parameters_counts_and_forms_are_decoded() -> None:
    assert parse_query("a=1&a=2&&b&c=x+y%21&%64=1&e=%ff") == {"a": "1", "b": "", "c": "x y!", "d": "1", "e": "\ufffd"}


def test_query_parameters_are_compared_with_case() -> None:
    conditions = compile_conditions((), (ValueCondition("Beta", value="1"),))

    assert conditions is not None
    assert conditions.hold(lambda name: None, QueryValues("Beta=1"))
    assert not conditions.hold(lambda name: None, QueryValues("beta=1"))


@pytest.mark.parametrize(
    ("condition", "remedy"),
    [
        (ValueCondition("x"), "exactly one of value, regex and present, it has 0"),
        (ValueCondition("x", value="1", present=True), "it has 2"),
        (ValueCondition("x", regex="("), "regex '(' does not compile"),
    ],
)
def test_conditions_that_cannot_be_evaluated_are_refused(condition: ValueCondition, remedy: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_conditions((condition,), ())

    assert remedy in str(caught.value)
    assert "header 'x'" in str(caught.value)


def test_no_conditions_compile_to_none() -> None:
    assert compile_conditions((), ()) is None
