from __future__ import annotations

import pytest
from gateway_core.process.locked import LOCK_VARIABLE, is_locked


def test_a_process_is_locked_by_a_path_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for path in ("", "plugins.lock"):
        monkeypatch.setenv(LOCK_VARIABLE, path)
        answers.append(is_locked())

    assert answers == [False, True]
