"""The gateway's own events on stderr, as lines for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from gateway_core.config import LogConfig

ROOT = "gateway"
"""Every logger of the gateway is below this one; others are those of plugins' libraries."""


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that do not fit would end as plain text on stderr
        return f"{record.msg!s} (arguments {record.args!r} do not fit: {error})"


class TextFormatter(logging.Formatter):
    """``2026-11-22 10:11:12,345 warning gateway.config: text``."""

    def __init__(self, process: str = "") -> None:
        super().__init__(f"%(asctime)s %(word)s %(name)s{process and f'[{process}]'}: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.word = record.levelname.lower()
        record.msg, record.args = _message(record), None
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
            "message": _message(record),
        }
        if self._process:
            event["process"] = self._process
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = self.formatStack(record.stack_info)
        # ASCII: U+2028 and its kind end a line for some readers, and half a surrogate pair cannot be written at all.
        return json.dumps(event, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler that `configure` made, as opposed to those of a test or of a plugin."""


def _is_ours(handler: logging.Handler) -> bool:
    return isinstance(handler, _Handler)


def is_taken_away() -> bool:
    """Whether something else than `configure` has changed what becomes of the gateway's events."""
    gateway = logging.getLogger(ROOT)
    handlers = gateway.handlers
    is_silenced = any(logger.disabled for _, logger in _own_loggers())
    return logging.root.manager.disable > 0 or is_silenced or not any(map(_is_ours, handlers))


def restore() -> None:
    """Bring back the gateway's log where a plugin has taken it away (`logging.disable`, `dictConfig`)."""
    if not _current.is_set or not is_taken_away():
        return
    logging.disable(logging.NOTSET)
    for _, logger in _own_loggers():
        logger.disabled = False
    configure(_current.config, process=_current.process)
    logging.getLogger(f"{ROOT}.plugins").warning(
        "a plugin changed what becomes of the gateway's log (logging.disable or logging.config): that is undone"
    )


def _own_loggers() -> list[tuple[str, logging.Logger]]:
    loggers = logging.root.manager.loggerDict
    return [
        (name, each)
        for name, each in list(loggers.items())
        if isinstance(each, logging.Logger) and (name == ROOT or name.startswith(f"{ROOT}."))
    ]


class _Current:
    is_set: bool = False
    """Whether this process has `configure` decide about the log; a test kit or an embedding program decides itself."""
    config: LogConfig | None = None
    process: str = ""


_current: Final = _Current()


def configure(config: LogConfig | None = None, *, process: str = "") -> None:
    """Send the gateway's events to stderr; may be called again when the configuration changes.

    :param process: what tells this process's lines apart when several write, such as ``worker 2``.
    """
    config = config or LogConfig()
    _current.is_set, _current.config, _current.process = True, config, process
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if config.format == "json" else TextFormatter(process))
    gateway = logging.getLogger(ROOT)
    gateway.handlers[:] = [handler]
    gateway.setLevel(config.level.upper())
    gateway.propagate = False
    # Plugins bring libraries with loggers of their own: one form and one level for all that this process writes.
    root = logging.getLogger()
    root.handlers[:] = [*(each for each in root.handlers if not _is_ours(each)), handler]
    root.setLevel(config.level.upper())
    logging.captureWarnings(True)
    logging.disable(logging.NOTSET)
    # aiohttp and asyncio report broken connections and slow callbacks, watchfiles each write of a file beside the
    # configuration, an access log included: useful only when debugging the gateway.
    for name in ("aiohttp", "asyncio", "watchfiles"):
        logging.getLogger(name).setLevel("DEBUG" if config.level == "debug" else "WARNING")
