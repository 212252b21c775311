"""A file of access logs is a handler of `logging`, so what the process does with all handlers is done with it too."""

from __future__ import annotations

import logging
import logging.config
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger.config import Rotation
from gateway_plugin_logger.sinks.files import FileTarget


def test_a_plugin_that_configures_logging_takes_no_access_log_away(tmp_path: Path, clock: Any) -> None:
    path = tmp_path / "a.log"
    target = FileTarget(path, 0o640, Rotation.model_validate({"max_size": 4}), clock)
    target.write(b"1111\n")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # closes every handler
    finally:
        root.handlers[:], root.level = handlers, level
    clock.advance(1)
    target.write(b"2222\n")
    target.close()

    assert path.read_text() == "2222\n"
    assert sorted(each.read_text() for each in tmp_path.iterdir()) == ["1111\n", "2222\n"]


def test_nothing_is_logged_while_the_handler_is_locked(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logging.config` takes the lock of logging before those of handlers: the other order would be a deadlock."""
    path = tmp_path / "a.log"
    target = FileTarget(path, 0o640, Rotation.model_validate({"max_size": 1}), clock)
    locked: list[bool] = []

    class Watching(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            other = threading.Thread(target=self.look)
            other.start()
            other.join()

        def look(self) -> None:
            assert target.lock is not None
            is_free = target.lock.acquire(blocking=False)
            locked.append(not is_free)
            if is_free:
                target.lock.release()

    handler = Watching()
    logging.getLogger("gateway.plugin.logger").addHandler(handler)
    try:
        target.write(b"1\n")
        with monkeypatch.context() as broken:
            broken.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
            target.write(b"2\n")
            target.reopen()
    finally:
        logging.getLogger("gateway.plugin.logger").removeHandler(handler)
    target.close()

    assert locked == [False, False]
