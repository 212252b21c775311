"""The core schema of YAML 1.2.2 (section 10.3.2), and the traps of YAML 1.1 that it closes."""

from __future__ import annotations

import pytest
from gateway_core.config.scalars import read_environment, read_plain
from hypothesis import given
from hypothesis import strategies as st


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
        ("010", "octal in YAML 1.1 and 10 in YAML 1.2"),
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
