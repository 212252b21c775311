from __future__ import annotations

import pytest
from gateway_plugin_static.media_types import MediaTypes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("APP.JS", "text/javascript; charset=utf-8"),
        ("a.tar.gz", "application/gzip"),
        ("data.json", "application/json"),
        ("image.svg", "image/svg+xml"),
        ("font.woff2", "font/woff2"),
        ("module.wasm", "application/wasm"),
        ("map.geojson", "application/geo+json"),
        ("README", "application/x-other"),
        ("x.unknown", "application/x-other"),
        ("trailing.", "application/x-other"),
    ],
)
def test_the_last_ending_decides(name: str, expected: str) -> None:
    types = MediaTypes({".GeoJSON": "application/geo+json"}, "application/x-other", "utf-8")

    assert types.type_of(name) == expected


def test_no_charset_is_said_where_none_is_configured_or_the_type_has_one() -> None:
    assert MediaTypes({}, "text/plain", None).type_of("a.txt") == "text/plain"
    assert MediaTypes({".x": "text/x; charset=koi8-r"}, "a/b", "utf-8").type_of("a.x") == "text/x; charset=koi8-r"
