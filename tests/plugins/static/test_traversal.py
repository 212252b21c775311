"""No spelling of a path leads to what is not served, whatever the path policy keeps."""

from __future__ import annotations

import os
from typing import Any

import pytest
from gateway_plugin_sdk.testing import RunningGateway
from gateway_plugin_static import Static

from tests.plugins.static.descriptors import open_below


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.mktemp("hostile")
    root = base / "site"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (base / "outside.txt").write_text("outside")
    (root / "sub" / "index.html").write_text("sub")
    (root / "app.js").write_text("script")
    (root / ".git" / "config").write_text("secret")
    (root / ".secret").write_text("secret")
    (root / "link.txt").symlink_to("../outside.txt")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    keep = dict.fromkeys(("encoded_slash", "encoded_backslash", "invalid_utf8"), "keep")
    binding = {"name": "static", "config": {"root": str(root), "symlinks": True, "listing": True}}
    document = {"routes": [{"id": "files", "path_prefix": "/", "plugins": [binding]}], "path_policy": keep}
    with RunningGateway(document, plugins=[Static]) as running:
        yield running
        assert open_below(base) == []


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt", "/sub/../../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/..%5coutside.txt",
        "/..;/outside.txt", "/sub/..;x=1/../outside.txt", "/%252e%252e/outside.txt", "/.%00./outside.txt",
        "/sub%2f..%2f..%2foutside.txt", "//..//outside.txt", "/%c0%ae%c0%ae/outside.txt", "/link.txt", "/fifo",
        "/.secret", "/.git/config", "/app.js/", "/app.js%00.html", "/sub%5cindex.html", "/c%0ad", "/up/outside.txt",
        "/%ff%fe", "/" + "a" * 300, "/" + "a/" * 100,
    ],
)  # fmt: skip
def test_nothing_else_is_reached_by_any_spelling(hostile: Any, path: str) -> None:
    answer = hostile.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())

    assert answer.split(b" ")[1] in {b"400", b"404"}
    assert b"outside" not in answer.partition(b"\r\n\r\n")[2]
    assert b"secret" not in answer
