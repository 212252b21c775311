from __future__ import annotations

import pytest
from gateway_core.config.suggestions import counted, did_you_mean, kind_of, listed, quote, shown


def test_long_texts_are_quoted_in_part_and_on_one_line() -> None:
    assert quote('a "b"\n') == '"a \\"b\\"\\n"'
    assert quote("x" * 100) == '"' + "x" * 57 + '..."'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "nothing"), ("a", '"a"'), (True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"),
        ({}, "a mapping"), ([], "a list"), ((), "a list"), (object, '"<class \'object\'>"'),
    ],
)  # fmt: skip
def test_values_are_shown_as_they_are_written(value: object, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "empty"), ("a", "text"), (True, "true or false"), (1, "a number"), ({}, "a mapping"), ([], "a list"),
        (object(), "object"),
    ],
)  # fmt: skip
def test_kinds_have_names_that_users_know(value: object, expected: str) -> None:
    assert kind_of(value) == expected


def test_lists_read_as_sentences() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b or c"
    assert listed([str(number) for number in range(20)], most=3) == "0, 1, 2 and 17 more"


def test_counts_agree_with_their_nouns() -> None:
    assert counted(1, "item") == "1 item"
    assert counted(0, "item") == "0 items"


def test_suggestions_ignore_case_and_dashes() -> None:
    assert did_you_mean("Strip-Path", ["strip_path", "path"]) == 'did you mean "strip_path"?'
    assert did_you_mean("zzz", ["strip_path"]) == ""


def test_suggestions_are_given_up_when_there_are_too_many_candidates() -> None:
    names = [f"upstream-{number}" for number in range(5000)]

    assert did_you_mean("upstream-x", names) == ""
