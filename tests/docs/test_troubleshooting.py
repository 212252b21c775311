"""docs/troubleshooting.md has every reason below each status that it comes with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_core.reasons import PLUGIN_RESPONSE, REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != PLUGIN_RESPONSE])
def test_a_reason_is_found_by_its_status(reason: str) -> None:
    statuses = REASONS[reason][0].split(", ")

    for status in statuses:
        heading = status or "No status"
        sections = [text for title, text in SECTIONS.items() if heading in title]

        assert any(f"`{reason}`" in text for text in sections), f"{reason} is not below {heading}"


def test_the_page_names_no_reason_that_does_not_exist() -> None:
    named = set(re.findall(r"`((?:upstream|plugin|limits)\.[a-z-]+)`", PAGE))

    assert named <= {*REASONS, "plugin.response"}
