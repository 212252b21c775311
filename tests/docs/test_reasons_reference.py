from __future__ import annotations

import re
from typing import Any

from gateway_core.reasons import REASON, REASONS
from gateway_core.testing import assert_plugin_ok
from gateway_plugin_sdk import Plugin

from docs.reasons_reference import INTRODUCTION, PAGE, page


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/reasons_reference.py"


def test_codes_look_like_codes_and_are_described_in_a_line() -> None:
    assert [code for code in REASONS if REASON.fullmatch(code) is None] == []
    assert [text for _, text in REASONS.values() if not re.fullmatch(r"[^\n|]+[^.\s|]", text)] == []
    assert [
        status for status, _ in REASONS.values() if not re.fullmatch(r"|[1-5][0-9]{2}(, [1-5][0-9]{2})*", status)
    ] == []


def test_the_plugin_of_the_page_is_in_order() -> None:
    found = re.search(r"```python\n(.*?)```", INTRODUCTION, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {"__name__": "recipe"}

    exec(compile(found[1], "reasons.md", "exec"), names)
    plugin = names["Blame"]

    assert issubclass(plugin, Plugin)
    assert_plugin_ok(plugin)
