"""The gateway's own events on stderr, as lines for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from gateway_core.config import LogConfig

ROOT = "gateway"
"""Every logger of the gateway is below this one."""


class TextFormatter(logging.Formatter):
    """``2026-11-22 10:11:12,345 warning gateway.config: text``."""

    def __init__(self, process: str = "") -> None:
        super().__init__(f"%(asctime)s %(word)s %(name)s{process and f'[{process}]'}: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.word = record.levelname.lower()
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._process:
            event["process"] = self._process
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def configure(config: LogConfig | None = None, *, process: str = "") -> None:
    """Send the gateway's events to stderr; may be called again when the configuration changes.

    :param process: what tells this process's lines apart when several write, such as ``worker 2``.
    """
    config = config or LogConfig()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if config.format == "json" else TextFormatter(process))
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(config.level.upper())
    logger.propagate = False
    # aiohttp and asyncio speak of broken connections and slow callbacks: that is for whoever debugs the gateway.
    for name in ("aiohttp", "asyncio"):
        other = logging.getLogger(name)
        other.handlers[:] = [handler]
        other.setLevel("DEBUG" if config.level == "debug" else "WARNING")
        other.propagate = False
