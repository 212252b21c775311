"""Paths of Kong's routes and of what goes upstream, and the scheme of a service that has a url."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importing import check, import_text, losses, written


def document(route: dict[str, Any], **service: Any) -> str:
    named = {"name": "s", "url": "http://127.0.0.1:9000/base", "routes": [{"name": "r", **route}], **service}
    return json.dumps({"_format_version": "3.0", "services": [named]})


@pytest.mark.parametrize("strip_path", [True, False])
def test_a_path_that_replaces_all_others_is_a_template(tmp_path: Path, *, strip_path: bool) -> None:
    plugin = {"name": "request-transformer", "config": {"replace": {"uri": "/users/health"}}}
    text = document({"paths": ["/health"], "strip_path": strip_path, "plugins": [plugin]})

    imported = import_text("kong", text)

    (route,) = written(imported)["routes"]
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert (route["rewrite"], "strip_path" in route) == ({"template": "/users/health"}, False)


def test_an_expression_without_its_mark_is_a_path_as_it_stands(tmp_path: Path) -> None:
    imported = import_text("kong", document({"paths": ["/files/[a-f]{36}$"], "strip_path": False}))

    (route,) = written(imported)["routes"]
    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert [each.what for each in imported.findings] == ["path '/files/[a-f]{36}$' of route 'r'"]
    assert route["path_regex"].endswith(r"(?:/files/\[a\-f\]\{36\}\$).*)")


@pytest.mark.parametrize(("protocol", "url"), [("ws", "http://u:1"), ("http", "http://u:1"), ("wss", "wss://u:1")])
def test_what_stands_beside_a_url_is_of_the_url(protocol: str, url: str) -> None:
    imported = import_text("kong", document({"paths": ["/"]}, url=url, protocol=protocol))

    assert losses(imported) == []
    expected = "https://u:1" if url.startswith("wss") else "http://u:1"
    assert written(imported)["upstreams"][0]["endpoints"] == [{"url": expected}]
