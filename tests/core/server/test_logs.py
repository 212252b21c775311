from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from gateway_core.config import LogConfig
from gateway_core.server import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (logs.ROOT, "aiohttp", "asyncio")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


def test_text_names_the_process_when_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(process="worker 2")

    logging.getLogger("gateway.config").warning("watch out")

    assert capsys.readouterr().err.endswith("warning gateway.config[worker 2]: watch out\n")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json"))

    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("gateway.config").exception("it went\nwrong")

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("error", "gateway.config", "it went\nwrong")
    assert "ValueError: odd" in event["exception"]


def test_the_level_decides_and_may_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(level="error"))
    logging.getLogger("gateway.x").warning("first")
    logs.configure(LogConfig(level="debug"))
    logging.getLogger("gateway.x").debug("second")

    told = capsys.readouterr().err
    assert "first" not in told
    assert told.count("second") == 1
