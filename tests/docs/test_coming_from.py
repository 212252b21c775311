"""The configurations of docs/coming-from.md and docs/coming-from/ do what the tables below them say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "coming-from").glob("*.md"))
SECTIONS = [
    *(DOCS / "coming-from.md").read_text("utf-8").split("\n## ")[1:],
    *(page.read_text("utf-8") for page in PAGES),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_named_and_says_what_is_different(page: Path) -> None:
    assert f"(coming-from/{page.name})" in (DOCS / "coming-from.md").read_text("utf-8")
    assert "\n## Different on purpose\n" in page.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("section", SECTIONS, ids=[section.partition("\n")[0].lstrip("# ") for section in SECTIONS])
def test_clients_get_what_the_table_says(section: str) -> None:
    config = section.partition("```yaml\n")[2].partition("```")[0]
    table = section.partition("| the client sends | and gets |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]*)`", line) for line in table.splitlines() if line.startswith("| `")]
    expected, found = [], []

    with (
        ScriptedUpstream() as upstream,
        RunningGateway(config.replace("http://127.0.0.1:8081", upstream.url)) as running,
    ):
        for sent, *fields, gets in rows:
            method, _, url = sent.partition(" ")
            host, slash, path = url.partition("/")
            headers = [("Host", host), *[tuple(field.split(": ", 1)) for field in fields]]
            response = running.request(method, slash + path, headers=headers)
            where = upstream.last.target if response.status == 200 else response.headers.get("location", "")
            expected.append((sent, gets))
            found.append((sent, f"{response.status} {where}".strip()))

    assert len(rows) >= 4
    assert found == expected
