from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from gateway_core.config import ConfigFinding, ConfigModel, model_problems
from gateway_core.config.model_errors import fields_at
from gateway_core.config.problems import format_path
from gateway_core.config.schema_errors import SchemaValidator
from pydantic import Field, model_validator


class Inner(ConfigModel):
    name: str
    count: Annotated[int, Field(ge=1, le=5)] = 1


class Model(ConfigModel):
    text: str = ""
    number: Annotated[float, Field(gt=0, lt=10, multiple_of=0.5)] = 1
    flag: bool = False
    mode: Literal["enforce", "shadow"] = "enforce"
    items: Annotated[tuple[Inner, ...], Field(max_length=2)] = ()
    inner: Inner | None = None
    by_name: Mapping[str, Inner] = {}
    code: Annotated[str, Field(min_length=2, max_length=3, pattern="^[a-z]+$")] = "ab"

    @model_validator(mode="after")
    def _check(self) -> Model:
        if self.text == "bad":
            raise ValueError("text is bad")
        return self


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"text": 7}, "text: 7 is a number, where text is expected: put it in quotes"),
        ({"number": 0}, "number: 0 is not greater than 0"),
        ({"number": 10}, "number: 10 is not less than 10"),
        ({"number": 0.7}, "number: 0.7 is not a multiple of 0.5"),
        ({"number": "x"}, 'number: "x" is text, where a number is expected'),
        ({"flag": "maybe"}, 'flag: "maybe" is text, where true or false is expected'),
        ({"mode": "shadw"}, 'mode: "shadw" is not one of enforce and shadow: did you mean "shadow"?'),
        ({"items": {}}, "items: is a mapping, where a list is expected"),
        ({"items": [{"name": "a"}] * 3}, "items: has more than 2 items"),
        ({"items": [{}]}, 'items[0].name: "name" is missing'),
        ({"items": [{"name": "a", "count": 0}]}, "items[0].count: 0 is less than the minimum of 1"),
        ({"items": [{"name": "a", "count": 6}]}, "items[0].count: 6 is greater than the maximum of 5"),
        ({"items": [{"name": "a", "count": 1.5}]}, "items[0].count: 1.5 is a number, where a whole number is expected"),
        (
            {"inner": {"name": "a", "mode": 1}},
            'inner.mode: unknown key "mode": it belongs beside "inner", at the top level',
        ),
        ({"inner": {"name": "a", "cuont": 1}}, 'inner.cuont: unknown key "cuont": did you mean "count"?'),
        ({"inner": "x"}, 'inner: "x" is text, where a mapping is expected'),
        ({"by_name": {"a": {"nam": "a", "name": "b"}}}, 'by_name.a.nam: unknown key "nam": did you mean "name"?'),
        ({"code": "a"}, 'code: "a" is shorter than 2 characters'),
        ({"code": "abcd"}, 'code: "abcd" is longer than 3 characters'),
        ({"code": "AB"}, 'code: "AB" does not match the pattern ^[a-z]+$'),
        ({"text": "bad"}, ": text is bad"),
        ({"text": None}, "text: has no value, where text is expected"),
    ],
)
def test_errors_are_told_in_our_words(value: dict[str, Any], expected: str) -> None:
    problems = [f"{format_path(found.path)}: {found.text}" for found in model_problems(Model, value)]

    assert problems == [expected]


def test_valid_values_have_no_problems() -> None:
    assert model_problems(Model, {"text": "a", "items": [{"name": "x"}]}) == []


def test_list_is_not_called_too_short_for_its_invalid_items() -> None:
    class Listed(ConfigModel):
        items: Annotated[tuple[Inner, ...], Field(min_length=1)]

    assert [found.path for found in model_problems(Listed, {"items": [{"name": 1}]})] == [("items", 0, "name")]
    assert model_problems(Listed, {"items": []}) == [
        ConfigFinding(("items",), "is empty", code="value.out-of-range", remedy="give at least one, or leave it out")
    ]


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ((), "text"),
        (("items", 0), "name"),
        (("inner",), "name"),
        (("by_name", "a"), "name"),
        (("text",), None),
        (("x", 0), None),
    ],
)
def test_known_keys_are_found_along_paths(path: tuple[str | int, ...], first: str | None) -> None:
    assert next(iter(fields_at(Model, path)), None) == first


@pytest.mark.parametrize(
    "value",
    [
        {"text": 7},
        {"number": 0},
        {"number": 10},
        {"number": 0.7},
        {"number": "x"},
        {"flag": "maybe"},
        {"mode": "shadwo"},
        {"items": [{"name": "a"}] * 3},
        {"items": {"name": "a"}},
        {"items": [{"nmae": "a"}]},
        {"inner": {"name": "a", "count": 9}},
        {"code": "a"},
        {"code": "abcd"},
        {"code": "A1"},
        {"tetx": "a"},
    ],
)
def test_schemas_and_models_say_the_same_of_what_both_refuse(value: Mapping[str, Any]) -> None:
    by_schema = SchemaValidator(Model.model_json_schema()).problems(value)

    assert {(each.path, each.text, each.code) for each in by_schema} == {
        (each.path, each.text, each.code) for each in model_problems(Model, value)
    }
