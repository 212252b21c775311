from __future__ import annotations

from docs.events_reference import PAGE, page


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python docs/events_reference.py"
