"""Conditions of routes for what `map` and `geo` make of requests; `test_beside` has the same requests to both."""

# ruff: noqa: E501 - configurations of nginx, one a line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing import check, import_text, losses, server, written


@pytest.mark.parametrize(
    ("lookup", "condition", "expected"),
    [
        ("geo $v { 10.0.0.0/8 1; }", "$v", [{"client_ip": {"one_of": ["10.0.0.0/8"]}}]),
        ("geo $v { default 1; 10.0.0.0/8 0; }", "$v", [{"client_ip": {"none_of": ["10.0.0.0/8"]}}]),
        ("geo $remote_addr $v { default a; 10.0.0.1 b; }", "$v != a", [{"client_ip": {"one_of": ["10.0.0.1/32"]}}]),
        ("map $http_x_a $v { default 0; yes 1; ~^o(k)$ 1; }", "$v", [{"headers": {"x-a": {"regex": "(?i:yes)|(?:o(?:k))"}}}]),
        (
            "map $cookie_a $v { yes 1; }", '$v = ""',
            [{"cookies": {"a": {"none_of": ["", "yes"]}}}, {"cookies": {"a": {"present": False}}}, {"cookies": {"a": {"value": ""}}}],
        ),
        ("map $arg_a $v { yes 1; no 2; }", "$v ~ ^[12]$", [{"query": {"a": {"regex": "(?i:yes)|(?i:no)"}}}]),
    ],
)  # fmt: skip
def test_an_if_asks_for_what_a_variable_is_made_of(
    tmp_path: Path, lookup: str, condition: str, expected: list[dict[str, Any]]
) -> None:
    imported = import_text(
        "nginx", server(f"if ({condition}) {{ return 403; }}", "location / { proxy_pass http://u; }", before=lookup)
    )

    *conditional, last = written(imported)["routes"]
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert [
        {key: each[key] for key in each if key in asked} for each, asked in zip(conditional, expected, strict=True)
    ] == expected
    assert [each["respond"] for each in conditional] == [{"status": 403}] * len(expected)
    assert last["target"] == "u"


@pytest.mark.parametrize(
    "lookup",
    [
        "geo $v { 10.0.0.0/8 1; 10.1.0.0/16 0; }", "geo $arg_a $v { 10.0.0.0/8 1; }", "geo $v { ranges; 10.0.0.1-10.0.0.9 1; }",
        "geo $v { default 1; novel 0; }", "map $http_a $v { ~a 0; ~b 1; }", "map $http_a $v { default 1; ~a 0; }",
        "map $http_a $v { a $arg_b; }", "map $uri $v { /a 1; }", "map $http_a$http_b $v { ab 1; }", "map $http_a $v { ~(.)\\1 1; }",
        "map $http_a $v { ~.* 1; }", "map $http_a $v { hostnames; a 1; }",
    ],
)  # fmt: skip
def test_a_variable_whose_values_have_no_condition_closes_what_it_guards(lookup: str) -> None:
    imported = import_text(
        "nginx", server("if ($v) { return 403; }", "location / { proxy_pass http://u; }", before=lookup)
    )

    assert [each["respond"] for each in written(imported)["routes"]] == [{"status": 403}]
    assert (3, "!if $v") in losses(imported)
