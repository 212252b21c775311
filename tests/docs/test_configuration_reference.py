from __future__ import annotations

import re

from docs.configuration_reference import PAGE, anchor, page


def test_the_page_is_that_of_the_models() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/configuration_reference.py"


def test_every_key_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", page(), re.MULTILINE)

    assert len(rows) > 100
    assert [key for key, description in rows if not description.endswith(".")] == []


def test_links_lead_to_sections() -> None:
    text = page()
    headings = {anchor(heading) for heading in re.findall(r"^## (.*)$", text, re.MULTILINE)}

    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= headings
