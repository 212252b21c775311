from __future__ import annotations

import pytest
from gateway_core.errors import TextTooLongError
from gateway_core.routing import ConditionError, ValueCondition
from gateway_core.routing.conditions import RequestValues, compile_conditions, parse_query


def holds(condition: ValueCondition, *values: str | None) -> bool:
    found = [value for value in values if value is not None]
    conditions = compile_conditions((condition,), ())
    assert conditions is not None
    return conditions.hold(lambda name: found if name == "x-a" else (), RequestValues(""))


@pytest.mark.parametrize(
    ("condition", "accepted", "refused"),
    [
        (ValueCondition("X-A", value="2"), ["2"], ["", "22", "x", None]),
        (ValueCondition("X-A", value=""), [""], ["2", None]),
        (ValueCondition("X-A", regex="[0-9]+"), ["2", "22"], ["", "2x", None]),
        (ValueCondition("X-A", regex=".*"), ["", "2", "\n", "2\n2"], [None]),
        (ValueCondition("X-A", regex="2$"), ["2"], ["2\n", None]),
        (ValueCondition("X-A", present=True), ["", "2"], [None]),
        (ValueCondition("X-A", present=False), [None], ["", "2"]),
    ],
)
def test_conditions_accept_and_refuse(
    condition: ValueCondition, accepted: list[str | None], refused: list[str | None]
) -> None:
    assert [value for value in accepted if not holds(condition, value)] == []
    assert [value for value in refused if holds(condition, value)] == []


def test_query_parameters_are_decoded_as_a_form_is() -> None:
    assert parse_query("a=1&a=2&&b&c=x+y%21&%64=1&e=%ff") == {
        "a": ["1", "2"],
        "b": [""],
        "c": ["x y!"],
        "d": ["1"],
        "e": ["\ufffd"],
    }


@pytest.mark.parametrize("condition", [ValueCondition("x-a", value="2"), ValueCondition("x-a", regex="[2]")])
@pytest.mark.parametrize("values", [("2", "x"), ("x", "2"), ("x", "2", "y")])
def test_one_of_several_values_is_enough(condition: ValueCondition, values: tuple[str, ...]) -> None:
    query = compile_conditions((), (condition,))
    assert query is not None

    assert holds(condition, *values)
    assert query.hold(lambda name: (), RequestValues("&".join(f"x-a={value}" for value in values)))
    assert not holds(condition, "x", "y")


def test_a_parameter_is_absent_only_if_no_value_is_there() -> None:
    condition = compile_conditions((), (ValueCondition("a", present=False),))
    assert condition is not None

    assert condition.hold(lambda name: (), RequestValues("b=1"))
    assert not condition.hold(lambda name: (), RequestValues("b=1&a="))


@pytest.mark.parametrize("values", [("a" * 8193,), ("1", "a" * 8193)])
def test_a_value_that_is_too_long_refuses_the_request(without_re2: None, values: tuple[str, ...]) -> None:
    header = compile_conditions((ValueCondition("x-a", regex="[a-z]+!"),), ())
    query = compile_conditions((), (ValueCondition("x-a", regex="[a-z]+!"),))
    assert header is not None
    assert query is not None

    with pytest.raises(TextTooLongError) as caught:
        header.hold(lambda name: values, RequestValues(""))
    assert caught.value.status == 431

    with pytest.raises(TextTooLongError) as caught:
        query.hold(lambda name: (), RequestValues("&".join(f"x-a={value}" for value in values)))
    assert caught.value.status == 400


def test_query_parameters_are_compared_with_case() -> None:
    conditions = compile_conditions((), (ValueCondition("Beta", value="1"),))

    assert conditions is not None
    assert conditions.hold(lambda name: (), RequestValues("Beta=1"))
    assert not conditions.hold(lambda name: (), RequestValues("beta=1"))


@pytest.mark.parametrize(
    ("condition", "remedy"),
    [
        (ValueCondition("x"), "exactly one of value, regex, present, one_of and none_of, it has 0"),
        (ValueCondition("x", value="1", present=True), "it has 2"),
        (ValueCondition("x", regex="("), "regex '(' is not a regular expression: missing )"),
    ],
)
def test_conditions_that_cannot_be_evaluated_are_refused(condition: ValueCondition, remedy: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_conditions((condition,), ())

    assert remedy in str(caught.value)
    assert "header 'x'" in str(caught.value)


def test_no_conditions_compile_to_none() -> None:
    assert compile_conditions((), ()) is None
