"""The README can be followed from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_plugin_sdk import Plugin
from gateway_plugin_sdk.testing import PluginHarness, assert_plugin_ok

from tests.docs.blocks import blocks_of, shows
from tests.docs.session import Session

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.mark.timeout(240)
def test_a_new_user_can_do_what_it_says(tmp_path: Path) -> None:
    with Session(tmp_path, ports=(8080, 9000, 9001)) as session:
        session.try_page(blocks_of(README))

    logged = (tmp_path / "access.log").read_text()
    assert '"path":"/private/hello.txt","status":401' in logged


def test_its_plugin_is_one() -> None:
    block = next(block for block in blocks_of(README) if block.language == "python")
    names: dict[str, object] = {"__name__": "teapot"}
    exec(compile(block.text, block.place, "exec"), names)
    teapot = names["Teapot"]
    assert isinstance(teapot, type)

    assert_plugin_ok(teapot)
    harness: PluginHarness[Plugin[object]]
    with PluginHarness(teapot) as harness:
        results = {path: harness.request("GET", path) for path in ("/coffee", "/tea")}
    assert {path: result.response.status for path, result in results.items()} == {"/coffee": 418, "/tea": 200}


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_expected_lines_are_looked_for_in_order() -> None:
    assert shows("a\nc ... e\n", "x\na\n\nb\nc   d e\n")
    assert not shows("b\na\n", "a\nb\n")
    assert not shows("a", "ab")
