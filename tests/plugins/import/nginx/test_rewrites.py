"""New paths that other locations take: with their guards, or closed."""

# ruff: noqa: E501 - configurations of nginx, one a line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing import bindings, check, import_text, losses, server, written


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { proxy_pass http://u; deny all; }"], {"template": "/b/:g1"}),
        (["rewrite ^/a$ /b?x=1&$args last;", "location /b { proxy_pass http://u; deny all; }"], {"template": "/b", "query": {"set": {"x": "1"}}}),
        (["rewrite ^/a$ /b break;", "location /b { proxy_pass http://u; deny all; }"], {"template": "/b"}),
        (["rewrite ^/a$ /b;", "location ~ [.]php$ { return 404; }", "location /b { proxy_pass http://u; deny all; }"], {"template": "/b"}),
    ],
)  # fmt: skip
def test_a_new_path_has_the_guards_of_the_location_that_takes_it(
    tmp_path: Path, lines: list[str], expected: dict[str, Any]
) -> None:
    imported = import_text("nginx", server(*lines))

    found = next(each for each in written(imported)["routes"] if each["id"].endswith("-rewrite"))
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert (found["target"], found["rewrite"]) == ("u", expected)
    assert bindings(found)["ip"] == {"deny": ["0.0.0.0/0", "::/0"]}


@pytest.mark.parametrize(
    "lines",
    [
        ["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { proxy_pass http://u; }", "location /b/c { return 404; }"],
        ["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { proxy_pass http://u; }", "location ~ [.]php$ { return 404; }"],
        ["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { proxy_pass http://u; if ($arg_x) { return 404; } }"],
        ["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { proxy_pass http://u/c/; }"],
        ["location /a { rewrite ^/a/(.*)$ /b/$1 last; }", "location /b/ { root /x; }"],
        ["location /a { rewrite ^/a$ /b; rewrite ^/b$ /c; }", "location /b { proxy_pass http://u; }"],
        ["location /a { rewrite ^/a$ /b?$novel last; }", "location /b { proxy_pass http://u; }"],
        ["location /a { rewrite ^/a/(.*)$ /b-$1 last; }", "location /b { proxy_pass http://u; }"],
    ],
)  # fmt: skip
def test_a_new_path_that_another_location_may_take_in_its_own_way_is_closed(lines: list[str]) -> None:
    routes = written(import_text("nginx", server(*lines)))["routes"]

    assert next(each for each in routes if each["id"].endswith("-rewrite"))["respond"] == {"status": 403}
