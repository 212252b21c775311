from __future__ import annotations

import pytest
import yaml
from gateway_core.config.problems import Place
from gateway_core.config.yaml_nodes import (
    DEEPEST,
    PLAIN_TAG,
    STR_TAG,
    DocumentSyntaxError,
    compose,
    read_environment,
    read_plain,
)
from hypothesis import given
from hypothesis import strategies as st


def refusal(text: str) -> DocumentSyntaxError:
    with pytest.raises(DocumentSyntaxError) as caught:
        compose("g.yaml", text)
    return caught.value


def test_nodes_carry_document_name_line_and_column() -> None:
    root = compose("gateway.yaml", "a: 1\nb:\n  - x\n")

    assert isinstance(root, yaml.MappingNode)
    mark = root.value[1][1].value[0].start_mark
    assert (mark.name, mark.line, mark.column) == ("gateway.yaml", 2, 4)


def test_only_plain_scalars_are_left_to_be_typed() -> None:
    root = compose("g.yaml", "[1, '1', \"1\", !!int 1]")

    assert root is not None
    assert [item.tag for item in root.value] == [PLAIN_TAG, STR_TAG, STR_TAG, "tag:yaml.org,2002:int"]


@pytest.mark.parametrize("text", ["", "   \n", "# comment\n"])
def test_empty_document_has_no_node(text: str) -> None:
    assert compose("g.yaml", text) is None


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "? " * 50_000, "{a: " * 5000, "[" * 200 + "]" * 200])
def test_deep_nesting_is_refused_before_the_composer_overflows(text: str) -> None:
    assert str(refusal(text)) == f"is nested more than {DEEPEST} levels deep"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: b: c", 1, 5, 'a second ": "'),
        ("a:\n\tb: 1", 2, 1, "a tab cannot indent"),
        ("a:\n  - b: 1\n\tc: 2", 3, 1, "a tab cannot indent"),
        ("a: @x", 1, 4, 'cannot start with "@"'),
        ("a: `x", 1, 4, 'cannot start with "`"'),
        ("a: [1, 2", 1, 4, "never closed"),
        ("a: 'x", 1, 4, "never closed"),
        ("a: [ \n\n", 1, 4, "inside an open bracket"),
        ("a: [,]", 1, 5, "a value is missing"),
        ("a:\n  - 1\n b: 2", 3, 2, "check the indentation"),
        ("a: *b", 1, 4, "without an anchor"),
        ("a: 1\n---\nb: 1", 3, 1, "a second document"),
        ("{a: ${X}}", 1, 6, "must be in double quotes"),
        ("a: 1\nb", 2, 1, 'without ":"'),
        ("a: \x01", 1, 4, "U+0001"),
        ("a: \ud800", 1, 4, "surrogate"),
        ("%YAML 3.0\n---\na: 1", 1, 1, "is not valid YAML"),
    ],
)
def test_syntax_errors_say_where_and_what_to_do(text: str, line: int, column: int, message: str) -> None:
    error = refusal(text)

    assert error.place == Place("g.yaml", line, column)
    assert message in str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nULL", "nULL"),
        ("true", True), ("True", True), ("FALSE", False),
        ("0", 0), ("-0", 0), ("+12", 12), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("9223372036854775807", 2**63 - 1),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-1e3", -1000.0), ("1E-2", 0.01), ("00.5", 0.5),
        # texts that YAML 1.1 takes for something else
        ("no", "no"), ("off", "off"), ("yes", "yes"), ("on", "on"), ("y", "y"),
        ("12:30:45", "12:30:45"), ("1_000", "1_000"), ("0b11", "0b11"), ("2026-11-22", "2026-11-22"), ("=", "="),
        ("127.0.0.1", "127.0.0.1"), ("1.2.3", "1.2.3"), ("+", "+"), ("-", "-"), (".", "."),
        ("5s", "5s"), ("64KiB", "64KiB"),
    ],
)  # fmt: skip
def test_plain_scalars_are_typed_by_yaml_1_2(text: str, value: object) -> None:
    result = read_plain(text)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("010", "octal in YAML 1.1 and decimal in YAML 1.2"),
        ("-007", "octal"),
        (".inf", "not a finite number"),
        ("-.INF", "not a finite number"),
        (".nan", "not a finite number"),
        ("9223372036854775808", "too large"),
        ("0xFFFFFFFFFFFFFFFFFF", "too large"),
        ("1e999", "too large"),
    ],
)
def test_numbers_with_two_readings_or_none_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_plain(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("true", True),
        ("", ""),
        ("null", "null"),
        ("~", "~"),
        ("010", "010"),
        (".inf", ".inf"),
    ],
)
def test_values_of_the_environment_are_never_null_and_never_ambiguous(text: str, value: object) -> None:
    result = read_environment(text)

    assert result == value
    assert type(result) is type(value)


@given(st.text())
def test_any_text_is_typed_or_refused(text: str) -> None:
    try:
        value = read_plain(text)
    except ValueError:
        value = None
    assert value is None or isinstance(value, (str, int, float))
    read_environment(text)
