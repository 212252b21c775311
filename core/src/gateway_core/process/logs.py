"""The gateway's own log on stderr, as lines for people or as JSON objects.

How it works: one handler on the root of all loggers formats each record at once, in the thread that logs, and hands the
line to a `LogWriter`, whose thread writes it. Lines for people have the time in UTC, the level, and the event's name or
the logger's. Nothing that a record carries can begin a line of its own or change the terminal: control characters are
escaped, and what belongs to a line (details, a traceback) follows indented.

**Before the configuration is known** its format is not known either: records are held, and written with the first
`configure` that has a configuration, or at the end of the process.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from gateway_core.config import LogConfig, LogLevel
from gateway_core.events import LIBRARY_LOG, LOG_CHANGED, LOG_DROPPED, PLUGIN_LOG, Event, emit
from gateway_core.process.log_writer import LogWriter
from gateway_core.process.recent_events import RecentEvents

ROOT = "gateway"
"""Every logger of the gateway is below this one; others are those of plugins' libraries."""

_FLUSH_SECONDS: Final = 1.0
_MOST_HELD: Final = 1000
"""Records that are held until the configuration is known."""

_ESCAPES: Final = {
    number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))
} | {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}  # fmt: skip
"""Characters that end a line or change a terminal, for `str.translate`."""


def _message(record: logging.LogRecord) -> str:
    if (headline := getattr(record, "headline", None)) is not None:
        return str(headline)
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that do not fit would end as plain text on stderr
        return f"{record.msg!s} (arguments {record.args!r} do not fit: {error})"


def _details(record: logging.LogRecord, formatter: logging.Formatter) -> list[str]:
    """Return what belongs to a record beside its message, by paragraphs."""
    details = [str(getattr(record, "details", ""))]
    if record.exc_info:
        details.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        details.append(formatter.formatStack(record.stack_info))
    return [text for text in details if text]


class TextFormatter(logging.Formatter):
    """``2026-11-22T10:11:12.345Z warning upstream.reset[worker 2]: text``."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process and f"[{process}]"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with further ones indented below it."""
        # A message of several lines is one of a library's or of a plugin's, or a problem with its excerpt.
        texts = (_message(record) + _ids_beside(record), *_details(record, self))
        first, *more = [line.translate(_ESCAPES) for text in texts for line in text.split("\n")]
        if getattr(record, "is_bare", False):
            return "\n".join([first, *more])
        name = getattr(record, "event", record.name)
        head = f"{_time(record)} {record.levelname.lower()} {name}{self._process}: "
        return "\n  ".join([head + first, *more])


def _ids_beside(record: logging.LogRecord) -> str:
    """Return the request and the trace that a record is about, unless its message names them."""
    fields, message = getattr(record, "fields", {}), _message(record)
    named = [f"{word} {fields[key]}" for word, key in _IDS if fields.get(key) and str(fields[key]) not in message]
    return f" ({', '.join(named)})" if named else ""


_IDS: Final = (("request", "request_id"), ("trace", "trace_id"))
_PLUGIN_LOGGERS: Final = (f"{ROOT}.plugin.", f"{ROOT}.plugins.")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: ``time``, ``level``, ``logger``, ``event``, ``message``, and the event's fields."""
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        event, fields = _event_of(record)
        line["event"] = event
        line["message"] = _message(record)
        if self._process:
            line["process"] = self._process
        line |= fields
        if details := str(getattr(record, "details", "")):
            line["details"] = details
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        # ASCII: U+2028 and its kind end a line for some readers, and half a surrogate pair cannot be written at all.
        return json.dumps(line, default=str)


def _event_of(record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
    """Return name and fields of a record's event; a line of a plugin or a library has an event of its own."""
    event = getattr(record, "event", None)
    if event is not None:
        return event, getattr(record, "fields", {})
    for prefix in _PLUGIN_LOGGERS:
        if record.name.startswith(prefix):
            return PLUGIN_LOG.name, {"plugin": record.name.removeprefix(prefix).partition(".")[0]}
    return LIBRARY_LOG.name, {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dropped_line(formatter: logging.Formatter, count: int) -> str:
    record = logging.LogRecord(
        ROOT, logging.WARNING, "", 0, "%d lines were dropped: stderr was not read", (count,), None
    )
    record.event, record.fields = LOG_DROPPED.name, {"count": count}
    return formatter.format(record) + "\n"


class _Handler(logging.Handler):
    """The handler that `configure` made, as opposed to those of a test or of a plugin."""

    def __init__(self, formatter: logging.Formatter, *, holds: bool) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._own_formatter = formatter
        self._held: list[logging.LogRecord] | None = [] if holds else None
        self._writer = _writer_for(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record soon."""
        if self._held is not None and len(self._held) < _MOST_HELD:
            self._held.append(record)
            return
        recent_events.note(*_event_of(record), record, _message(record).translate(_ESCAPES))
        line = self.format(record) + "\n"
        if self._writer is not None:
            self._writer.put(line)
        elif sys.stderr is not None:
            sys.stderr.write(line)  # of a test, in memory
            sys.stderr.flush()

    @property
    def is_changed(self) -> bool:
        """Whether it does not write every record in its own form any more."""
        return self.level > logging.NOTSET or bool(self.filters) or self.formatter is not self._own_formatter

    def write_held(self) -> None:
        """Write what is held, and hold nothing more."""
        self.pass_to(self)

    def pass_to(self, other: _Handler) -> None:
        """Have another handler write what is held."""
        held, self._held = self._held or [], None
        for record in held:
            other.emit(record)

    def flush(self) -> None:
        """Wait until all is written, for a second at most."""
        self.write_held()
        if self._writer is not None:
            self._writer.flush(_FLUSH_SECONDS)


recent_events: Final = RecentEvents()
"""Of this process."""

_writers: Final[dict[int, LogWriter]] = {}
"""By descriptor: one thread writes, however often the log is configured."""


def _writer_for(formatter: logging.Formatter) -> LogWriter | None:
    """Return what writes to stderr; None if that is no file but an object of a test."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return None
    writer = _writers.get(descriptor)
    if writer is None:
        # A descriptor of its own: a plugin may close or replace standard error.
        writer = _writers[descriptor] = LogWriter(os.dup(descriptor))
    writer.dropped_line = partial(_dropped_line, formatter)
    return writer


def _is_ours(handler: logging.Handler) -> bool:
    return isinstance(handler, _Handler)


def is_taken_away() -> bool:
    """Whether something else than `configure` has changed what becomes of the gateway's events, or in what form."""
    gateway, root = logging.getLogger(ROOT), logging.getLogger()
    if root.manager.disable > 0 or root.level != gateway.level or any(_is_silenced(each) for each in _own_loggers()):
        return True
    for logger in (gateway, root):
        ours = [each for each in logger.handlers if isinstance(each, _Handler)]
        if not ours or any(each.is_changed for each in ours):
            return True
    return any(map(_is_rival, root.handlers))


def _is_silenced(logger: logging.Logger) -> bool:
    if logger.disabled:
        return True
    if logger.name.startswith(_PLUGIN_LOGGERS):  # its own affair
        return False
    return bool(logger.filters) or logger.level > _current.number


def _is_rival(handler: logging.Handler) -> bool:
    """Whether a handler writes where we do, so that each line is there twice, in two forms (`logging.basicConfig`)."""
    return type(handler) is logging.StreamHandler and handler.stream in {sys.stderr, sys.__stderr__}


def restore() -> None:
    """Bring back the gateway's log where a plugin has taken it away, such as by `logging.disable` or `dictConfig`."""
    if not _current.is_set or not is_taken_away():
        return
    logging.disable(logging.NOTSET)
    if any(each.disabled for each in _own_loggers()):
        for each in _loggers():  # as `dictConfig` disables whatever it does not name
            each.disabled = False
    for logger in _own_loggers():
        if _is_silenced(logger):
            logger.filters.clear()
            logger.setLevel(logging.NOTSET)
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if not _is_rival(each)]
    configure(_current.config, process=_current.process)
    emit(LOG_CHANGED, "a plugin changed the gateway's log (logging.disable or logging.config): that is undone")


def _loggers() -> list[logging.Logger]:
    return [each for each in list(logging.root.manager.loggerDict.values()) if isinstance(each, logging.Logger)]


def _own_loggers() -> list[logging.Logger]:
    return [each for each in _loggers() if each.name == ROOT or each.name.startswith(f"{ROOT}.")]


class _Current:
    is_set: bool = False
    """Whether this process has `configure` decide about the log; a test kit or an embedding program decides itself."""
    config: LogConfig | None = None
    process: str = ""
    holds: bool = False
    level: LogLevel | None = None
    """What an operator has set in place of the configured one."""
    number: int = logging.INFO
    """The level that counts, as `logging` numbers it."""


_current: Final = _Current()


def configure(config: LogConfig | None = None, *, process: str = "", holds: bool = False) -> None:
    """Send the gateway's events to stderr; may be called again when the configuration changes.

    :param config: unless given that of the process that started this one, or the default.
    :param process: what distinguishes this process's lines when several write, such as ``worker 2``.
    :param holds: keep records until this is called with a configuration: their format is not known yet.
    """
    is_given = config is not None
    config = _handed_on() if config is None else config
    if process != _current.process:
        recent_events.clear()  # of the process that this one was forked from
    _current.is_set, _current.config, _current.process, _current.holds = True, config, process, holds
    if _current.level is not None:
        config = config.model_copy(update={"level": _current.level})
    if is_given:
        _hand_on(config)
    gateway = logging.getLogger(ROOT)
    before = [each for each in gateway.handlers if isinstance(each, _Handler)]
    handler = _Handler(JsonFormatter(process) if config.format == "json" else TextFormatter(process), holds=holds)
    gateway.handlers[:] = [handler]
    gateway.setLevel(config.level.upper())
    _current.number = gateway.level
    gateway.propagate = False
    # Plugins bring libraries with loggers of their own: one form and one level for all that this process writes.
    root = logging.getLogger()
    root.handlers[:] = [*(each for each in root.handlers if not _is_ours(each)), handler]
    root.setLevel(config.level.upper())
    logging.captureWarnings(True)
    _capture_uncaught()
    logging.disable(logging.NOTSET)
    # aiohttp and asyncio report broken connections and slow callbacks, watchfiles each write of a file beside the
    # configuration, an access log included: useful only when debugging the gateway.
    for name in ("aiohttp", "asyncio", "watchfiles"):
        logging.getLogger(name).setLevel("DEBUG" if config.level == "debug" else "WARNING")
    for each in before:
        each.pass_to(handler)


def _capture_uncaught() -> None:
    """Have exceptions that end a thread or a finalizer be lines of the log, as `logging.captureWarnings` has warnings.

    A hook of a library that collects such reports stays.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _note_end_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _note_unraisable


def _note_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = "" if ended.thread is None else ended.thread.name
        exc_info = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logging.getLogger("py.threads").error("the thread %r ended by an exception", name, exc_info=exc_info)


def _note_unraisable(ignored: sys.UnraisableHookArgs) -> None:
    exc_info = None if ignored.exc_value is None else (ignored.exc_type, ignored.exc_value, ignored.exc_traceback)
    text = ignored.err_msg or "exception ignored in"
    logging.getLogger("py.unraisable").error("%s: %r", text, ignored.object, exc_info=exc_info)


def override_level(level: LogLevel | None) -> None:
    """Write lines of this level and above, whatever the configuration says; None has that decide again."""
    if level == _current.level:
        return
    _current.level = level
    if _current.is_set and not _current.holds:
        configure(_current.config, process=_current.process)


def level() -> str:
    """Return the level from which on this process logs."""
    return logging.getLevelName(logging.getLogger(ROOT).getEffectiveLevel()).lower()


def forget_writers() -> None:
    """Have `configure` open a descriptor for the log again, in a forked process that has closed those that it had."""
    _writers.clear()


def write_held() -> None:
    """Write what is held, as lines for people: the configuration's format will not be known soon."""
    for handler in logging.getLogger(ROOT).handlers:
        if isinstance(handler, _Handler):
            handler.write_held()


def announce(event: Event, text: str, *, details: str = "", **fields: object) -> None:
    """Tell the operator who starts the gateway: as bare text for people, as an event in JSON lines.

    The first lines of a start are read by people and scripts; ``listening on URL`` is one of them.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    extra = {"event": event.name, "fields": given, "headline": text, "details": details, "is_bare": True}
    logging.getLogger(event.logger).log(event.level, "%s", text, extra=extra)


def dropped() -> int:
    """Return how many lines of this process were dropped because stderr was not read."""
    return sum(each.dropped for each in _writers.values())


_VARIABLE: Final = "GATEWAY_LOG"
"""Hands format and level on to the processes that this one starts, which write before they have a configuration."""


def _hand_on(config: LogConfig) -> None:
    os.environ[_VARIABLE] = f"{config.format}:{config.level}"


def _handed_on() -> LogConfig:
    form, _, level = os.environ.get(_VARIABLE, "").partition(":")
    try:
        return LogConfig.model_validate({"format": form, "level": level})
    except ValueError:
        return LogConfig()
