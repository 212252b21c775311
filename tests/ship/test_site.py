"""The documentation site: every page is in its index, every link leads somewhere, the SDK's docstrings are in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gateway_plugin_sdk
import pytest

from tests.contract.repository import ROOT

pytestmark = pytest.mark.timeout(600)


def sphinx(source: Path, into: Path) -> subprocess.CompletedProcess[str]:
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-c", ROOT / "docs"]
    command = [sys.executable, "-m", "sphinx", *map(str, options), str(source), str(into)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("site")
    done = sphinx(ROOT, into)
    assert done.returncode == 0, done.stdout + done.stderr
    return into


def test_every_page_is_built(site: Path) -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("*/README.md")]

    assert len(pages) > 50
    assert [page for page in pages if not (site / page.relative_to(ROOT)).with_suffix(".html").exists()] == []


def test_the_sdk_is_described_by_its_docstrings(site: Path) -> None:
    text = (site / "docs" / "sdk.html").read_text("utf-8")

    missing = [name for name in gateway_plugin_sdk.__all__ if f'id="gateway_plugin_sdk.{name}"' not in text]
    assert missing == []


def test_pages_can_be_searched(site: Path) -> None:
    assert "circuit" in (site / "searchindex.js").read_text("utf-8")


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Index\n\n[away](nowhere.md)\n")

    done = sphinx(tmp_path, tmp_path / "site")

    assert done.returncode != 0
    assert "nowhere.md" in done.stderr
