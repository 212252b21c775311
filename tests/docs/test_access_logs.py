"""docs/access-logs.md can be followed from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "access-logs.md"


@pytest.mark.timeout(120)
def test_what_it_says_can_be_done(tmp_path: Path) -> None:
    with Session(tmp_path, ports=(8080, 9001)) as session:
        session.try_page(blocks_of(PAGE))

    lines = (tmp_path / "access.log").read_text()
    assert "abc" not in lines
    assert "/health" not in lines
    assert "/files/" not in (tmp_path / "errors.log").read_text()
