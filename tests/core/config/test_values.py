from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from gateway_core.config import ConfigModel, Duration, IpNetwork, Method, Name, PositiveDuration, Regex, Size, Switch
from gateway_core.config.values import (
    CANONICAL,
    InvalidValueError,
    duration_text,
    parse_duration,
    parse_network,
    parse_size,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1.5s", 1.5),
        (0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_durations_have_units(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.integers(0, 10 * 86400 * 1000))
def test_a_duration_is_written_as_it_is_read(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds / 1000)) == milliseconds / 1000


def test_a_duration_is_written_in_its_largest_unit() -> None:
    assert [duration_text(each) for each in (0, 0.25, 5, 90, 120, 86400)] == ["0", "250ms", "5s", "90s", "2m", "1d"]


@pytest.mark.parametrize(
    "text", ["5", "5 s", "s", "-5s", "5sec", "1m30s", "5S", "5s\n", "", "99999d", "1e3s", True, None, [], 5, -1, 0.5]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(InvalidValueError):
        parse_duration(text)


def test_a_negative_number_is_not_told_to_have_a_unit() -> None:
    with pytest.raises(InvalidValueError, match="is negative: write 0 where it stands for none"):
        parse_duration(-1)


def test_bare_number_is_told_its_remedy() -> None:
    with pytest.raises(InvalidValueError, match="has no unit: write 5s for seconds or 5ms for milliseconds"):
        parse_duration(5)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("1MiB", 1 << 20),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("1.5KiB", 1536),
        ("7B", 7),
        (0, 0),
        (7, 7),
    ],
)
def test_sizes_are_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64", "64K", "64 KiB", "-1B", "", -1, 1.5, True, None, "9999999TiB", 2**61, "1KiB\n"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(InvalidValueError):
        parse_size(text)


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_any_value_is_read_or_refused(value: object) -> None:
    for parse in (parse_duration, parse_size, parse_network):
        try:
            result = parse(value)
        except InvalidValueError:
            continue
        assert not isinstance(result, (int, float)) or result >= 0


def test_networks_of_one_address_need_no_prefix() -> None:
    assert parse_network("192.168.1.7") == ipaddress.ip_network("192.168.1.7/32")
    assert parse_network("::ffff:10.0.0.0/104") == ipaddress.ip_network("10.0.0.0/8")
    assert parse_network("::ffff:10.0.0.1") == ipaddress.ip_network("10.0.0.1/32")
    assert parse_network("::/0") == ipaddress.ip_network("::/0")
    assert parse_network("::1") == ipaddress.ip_network("::1/128")


def test_network_with_host_bits_names_the_network_that_was_meant() -> None:
    with pytest.raises(InvalidValueError, match=r"write 10\.0\.0\.0/8 for the network"):
        parse_network("10.1.2.3/8")


class Model(ConfigModel):
    duration: Duration = 0.0
    positive: PositiveDuration = 1.0
    size: Size = 0
    switch: Switch = False
    name: Name = "x"
    method: Method = "GET"
    regex: Regex = ""
    networks: tuple[IpNetwork, ...] = ()


@pytest.mark.parametrize(
    "value",
    [
        {"positive": "0s"}, {"positive": 0}, {"switch": "true"}, {"switch": 1}, {"name": ""}, {"name": " a"},
        {"name": "a\n"},
        {"name": "x" * 201}, {"name": 'a"b'}, {"method": "get"}, {"method": ""}, {"regex": "["}, {"networks": ["x"]},
        {"unknown": 1},
    ],
)  # fmt: skip
def test_models_refuse_what_their_types_refuse(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate(value)


@pytest.mark.parametrize("name", ["a", "GET /users/:id", "ns/name:80", "ü-1", "x" * 200])
def test_names_are_printable_texts(name: str) -> None:
    assert Model(name=name).name == name


def test_models_survive_their_canonical_form() -> None:
    model = Model.model_validate({"duration": "250ms", "positive": "5s", "size": "64KiB", "networks": ["10.0.0.0/8"]})

    assert Model.model_validate(model.model_dump(mode="json"), context=CANONICAL) == model


def test_canonical_numbers_are_refused_in_documents() -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"duration": 0.25})


def test_texts_under_fields_describe_them_in_the_schema() -> None:
    class Documented(ConfigModel):
        rate: float = 1.0
        """Requests a second."""

    assert Documented.model_json_schema()["properties"]["rate"]["description"] == "Requests a second."
    assert Documented.model_json_schema()["additionalProperties"] is False
