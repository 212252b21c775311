from __future__ import annotations

import re

from gateway_core.hookspecs import REQUEST_PHASES

from docs.hooks_reference import PAGE, page, split


def test_the_page_is_that_of_the_hookspecs() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/hooks_reference.py"


def test_every_hook_says_what_it_returns() -> None:
    sections = re.findall(r"^### (gateway_\w+)\n(.*?)(?=^##)", page(), re.MULTILINE | re.DOTALL)

    assert [name for name, _ in sections][: len(REQUEST_PHASES)] == list(REQUEST_PHASES)
    for name, text in sections:
        if name != "gateway_log":
            assert "- *returns*: " in text, name


def test_a_docstring_is_split_into_text_and_fields() -> None:
    said, fields = split("One.\n\n:param a: first\n    line.\n:returns: ``None``.")

    assert said == "One."
    assert fields == [("`a`", "first line."), ("*returns*", "`None`.")]
