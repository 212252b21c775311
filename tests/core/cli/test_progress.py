from __future__ import annotations

import io
import os
import pty
import threading

import pytest
from gateway_core.cli.progress import progress, shows_progress


class Terminal(io.StringIO):
    """What counts as a terminal, and tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.written.set()


@pytest.mark.parametrize(("term", "expected"), [("xterm", True), ("dumb", False), (None, False)])
def test_only_a_terminal_that_can_take_a_line_back_shows_progress(term: str | None, expected: bool) -> None:
    environ = {} if term is None else {"TERM": term}

    assert shows_progress(Terminal(), environ) is expected
    assert not shows_progress(io.StringIO(), environ)


def test_a_line_is_shown_while_it_takes_long_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    with progress("waiting", after=0.001):
        assert terminal.written.wait(20)
        assert terminal.getvalue() == "waiting ..."

    assert terminal.getvalue() == "waiting ...\r\x1b[K"


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    with progress("waiting", after=60):
        pass

    assert terminal.getvalue() == ""


def test_a_pseudo_terminal_is_a_terminal() -> None:
    primary, secondary = pty.openpty()
    with os.fdopen(primary), os.fdopen(secondary, "w") as stream:
        assert shows_progress(stream, {"TERM": "xterm"})
