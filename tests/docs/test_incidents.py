from __future__ import annotations

import re
from pathlib import Path

from gateway_core.config.codes import CODES
from gateway_core.events import EVENTS
from gateway_core.reasons import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text("utf-8")


def test_every_event_and_reason_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z][a-z_-]+)`", PAGE)) - {"limits.max_connections"}
    named -= {name for name in named if name.startswith("limits.") and "_" in name}

    assert {name for name in named if name not in {*EVENTS, *REASONS, *CODES}} == set()


def test_every_incident_of_the_table_has_its_section() -> None:
    linked = re.findall(r"^\| \[[^\]]+\]\(#([a-z-]+)\)", PAGE, re.MULTILINE)
    titles = [title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)]

    assert linked == titles
    assert len(linked) == 12


def test_every_section_says_what_to_do() -> None:
    sections = re.split(r"^## .+$", PAGE, flags=re.MULTILINE)[1:]

    assert [section for section in sections if "**You see**" not in section or "**Do**" not in section] == []
