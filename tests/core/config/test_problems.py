from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pytest
from gateway_core.config import (
    ConfigError,
    ConfigFinding,
    ConfigModel,
    ConfigProblem,
    Place,
    PluginDescription,
    SchemaValidator,
    model_problems,
    problem_as_json,
    problem_from_json,
    problem_to_json,
    render_problems,
)
from gateway_core.config.codes import CODES
from gateway_core.config.problems import format_path, missing_files_as_warnings, parse_path
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tests.core.config.conftest import Catalogue, Load, received


def test_problem_names_place_key_path_and_message() -> None:
    problem = ConfigProblem(Place("gateway.yaml", 41, 17), "routes[3].priority", "1.5 is a number", code="x")

    assert str(problem) == "gateway.yaml:41:17: routes[3].priority: 1.5 is a number"
    assert problem.render() == str(problem)


def test_remedy_and_reporter_read_on_behind_the_message() -> None:
    problem = ConfigProblem(
        Place("g.yaml", 1, 1), "a", "5 is text", code="value.wrong-type", remedy="put it in quotes", reporter="auth 1.0"
    )

    assert problem.text == "5 is text: put it in quotes (auth 1.0)"
    assert problem_from_json(problem_to_json(problem)) == problem


def test_a_problem_without_a_remedy_of_its_own_has_that_of_its_code_for_programs() -> None:
    problem = ConfigProblem(Place("g.yaml", 1, 1), "a", '"a" is missing', code="key.missing")

    assert problem_as_json(problem)["remedy"] == CODES["key.missing"].remedy
    assert problem_as_json(dataclasses.replace(problem, remedy="write a: 1"))["remedy"] == "write a: 1"


def test_a_missing_key_is_told_alike_by_a_schema_and_by_a_model() -> None:
    class Model(ConfigModel):
        name: str
        size: int = Field(1, ge=1)
        kind: Literal["a", "bb"] = "a"

    validator = SchemaValidator(Model.model_json_schema())

    for value in ({}, {"name": 1}, {"name": "x", "size": 0}, {"name": "x", "kind": "b"}, {"name": "x", "nam": 1}):
        assert validator.problems(value) == list(model_problems(Model, value)), value


def test_rendered_problem_points_at_the_column() -> None:
    problem = ConfigProblem(Place("g.yaml", 3, 10), "workers", "x", "workers: four", code="x")

    assert problem.render().splitlines()[1:] == ["     3 | workers: four", "       |          ^"]


def test_caret_stays_under_its_character_after_tabs() -> None:
    problem = ConfigProblem(Place("g.json", 1, 3), "a", "x", "\t\t{}", code="x")

    assert problem.render().splitlines()[2] == "       | \t\t^"


def test_long_lines_are_cropped_around_the_place() -> None:
    line = "a" * 500 + "X" + "b" * 500

    source, caret = ConfigProblem(Place("g.yaml", 1, 501), "a", "x", line, code="x").render().splitlines()[1:]

    assert len(source) < 140
    assert source[caret.index("^")] == "X"


def test_error_carries_problems_sorted_and_without_repetitions() -> None:
    first = ConfigProblem(Place("a.yaml", 2, 1), "x", "m", code="x")
    second = ConfigProblem(Place("a.yaml", 10, 1), "x", "m", code="x")
    other = ConfigProblem(Place("b.yaml", 1, 1), "x", "m", code="x")

    error = ConfigError([other, second, first, second])

    assert error.problems == (first, second, other)
    assert str(error).splitlines() == [str(first), str(second), str(other)]
    assert error.render() == "\n".join(problem.render() for problem in error.problems)


def test_a_warning_says_that_it_is_one_and_does_not_count_as_an_error() -> None:
    warning = ConfigProblem(Place("a.yaml", 3, 1), "x", "m", code="x", severity="warning")
    error = ConfigError([warning, ConfigProblem(Place("a.yaml", 2, 1), "x", "m", code="x")])

    assert str(warning) == "a.yaml:3:1: x: warning: m"
    assert [problem.severity for problem in error.problems] == ["error"]
    assert error.warnings == (warning,)


def test_problems_survive_the_way_to_another_process() -> None:
    warning = ConfigProblem(Place("a.yaml", 3, 1), "x", "m", "x: 1", code="x.y", severity="warning")

    assert problem_from_json(problem_to_json(warning)) == warning


def test_rendered_problems_are_counted_by_severity() -> None:
    error = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="x")
    warning = ConfigProblem(Place("g.yaml", 2, 2), "routes", "is odd", code="x", severity="warning")

    assert render_problems([error]) == "g.yaml:1:2: workers: is wrong\n1 problem found"
    assert render_problems([error, error]).endswith("2 problems found")
    assert render_problems([error, warning]).endswith("1 problem, 1 warning found")
    assert render_problems([warning]).endswith("1 warning found")


def test_missing_files_become_warnings_and_nothing_else_does() -> None:
    codes = ["file.missing", "auth.file-missing", "file.unreadable", "key.missing"]
    problems = [ConfigProblem(Place("g.yaml", 1, 1), "x", "m", code=code) for code in codes]

    assert [problem.is_error for problem in missing_files_as_warnings(problems)] == [False, False, True, True]


TEXT = """\
plugins:
  - {name: sign, config: {secret: abc, keys: [one]}}
routes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]
"""


@pytest.fixture
def catalog() -> Catalogue:
    return Catalogue()


def sign(*findings: ConfigFinding) -> PluginDescription:
    def check(_config: Mapping[str, Any]) -> Iterable[ConfigFinding]:
        return findings

    return PluginDescription(
        "sign", "acme-sign", "1.0", {"type": "object"}, check=check, secret_paths=frozenset({"secret"})
    )


def with_plugin(catalog: Catalogue, description: PluginDescription) -> None:
    catalog.plugins = {**catalog.plugins, description.name: description}


WEAK = ConfigFinding(("keys", 0), "is weak: use more", code="sign.weak", severity="warning")


def test_a_warning_of_a_plugin_does_not_reject_and_has_a_place(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))

    (warning,) = load(TEXT).warnings

    assert str(warning) == "gateway.yaml:2:47: plugins[0].config.keys[0]: warning: is weak: use more (sign 1.0)"
    assert (warning.code, warning.severity) == ("sign.weak", "warning")


def test_a_warning_shows_no_secret_of_its_line(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))

    (warning,) = load(TEXT).warnings

    assert warning.excerpt is not None
    assert "abc" not in warning.excerpt


def test_an_error_of_a_plugin_rejects_and_takes_the_warnings_along(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK, dataclasses.replace(WEAK, code="sign.bad", severity="error")))

    with pytest.raises(ConfigError) as caught:
        load(TEXT)

    assert [problem.code for problem in caught.value.problems] == ["sign.bad"]
    assert [problem.code for problem in caught.value.warnings] == ["sign.weak"]


def test_warnings_travel_with_the_canonical_form(catalog: Catalogue, load: Load) -> None:
    with_plugin(catalog, sign(WEAK))
    loaded = load(TEXT)

    assert received(loaded.to_lines()).warnings == loaded.warnings


def test_place_reads_as_file_line_and_column() -> None:
    assert str(Place("gateway.yaml", 41, 17)) == "gateway.yaml:41:17"
    assert str(Place("gateway.toml")) == "gateway.toml"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("listen",), "listen"),
        (("routes", 3, "plugins", 0, "config", "rate"), "routes[3].plugins[0].config.rate"),
        (("headers", "x-version"), "headers.x-version"),
        (("headers", "x version"), 'headers["x version"]'),
    ],
)
def test_key_paths_read_as_people_write_them(path: tuple[str | int, ...], text: str) -> None:
    assert format_path(path) == text
    assert parse_path(text) == path


@given(st.lists(st.text(alphabet="ab-_$0.", min_size=1) | st.integers(0, 1000), max_size=6))
def test_formatted_paths_parse_back(path: list[str | int]) -> None:
    assert parse_path(format_path(path)) == tuple(path)
