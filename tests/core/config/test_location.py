from __future__ import annotations

import pytest
from gateway_core.config.location import Place, format_path, parse_path
from hypothesis import given
from hypothesis import strategies as st


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
