from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.cli.root import COMMANDS

from tests.docs.blocks import blocks_of
from tests.docs.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_page_works_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / ".runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))

    with Session(tmp_path, [8080, 8081]) as session:
        session.try_page(blocks_of(PAGE))


def test_the_page_has_the_commands_that_look_at_a_running_gateway() -> None:
    text = PAGE.read_text("utf-8")

    for command in (
        "check",
        "explain",
        "match",
        "reload",
        "status",
        "call",
        "diff",
        "history",
        "rollback",
        "unpin",
        "top",
    ):
        assert command in COMMANDS
        assert f"gateway {command}" in text
