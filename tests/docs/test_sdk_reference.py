from __future__ import annotations

from docs.sdk_reference import PAGE, page


def test_the_page_names_what_the_sdk_publishes() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/sdk_reference.py"
