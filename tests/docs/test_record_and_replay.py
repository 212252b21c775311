from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.cli import record, replay

from tests.docs.blocks import blocks_of
from tests.docs.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "record-and-replay.md"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_page_works_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / ".runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))

    with Session(tmp_path, [8080]) as session:
        session.try_page(blocks_of(PAGE))


def test_the_page_names_the_headers_that_are_recorded_and_compared() -> None:
    text = PAGE.read_text("utf-8").lower()

    assert [name for name in (*record.HEADERS, *replay.HEADERS) if f"`{name}`" not in text] == []
