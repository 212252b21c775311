"""What is worth telling about a valid configuration: files that cannot be used, patterns that refuse long texts."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway_plugin_sdk import ConfigFinding
from gateway_plugin_sdk.certificates import ConfigPath, certificate_findings

from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.config.sinks import FileSink, HttpSink, OtlpSink, SyslogSink, TlsOptions
from gateway_plugin_logger.filters.expression import patterns_in
from gateway_plugin_logger.sinks.files import try_writing


def findings(config: LoggerConfig) -> Iterator[ConfigFinding]:
    """Yield the files that no sink could open, and the patterns that are not asked about long texts."""
    for index, sink in enumerate(config.destinations):
        path: ConfigPath = ("sinks", index) if config.sinks else ()
        if isinstance(sink, FileSink):
            yield from _of_file(sink.path, (*path, "path"))
        elif isinstance(sink, SyslogSink) and sink.address.startswith("tls:"):
            yield from _of_tls(sink.tls, (*path, "tls"))
        elif isinstance(sink, HttpSink | OtlpSink):
            url = sink.endpoint if isinstance(sink, OtlpSink) else sink.url
            if url.reveal().startswith("https:"):
                yield from _of_tls(sink.tls, (*path, "tls"))
    yield from _of_patterns(config)


def _of_file(name: str, path: ConfigPath) -> Iterator[ConfigFinding]:
    """Look whether lines can be written to a log, without making it or waiting for the reader of a pipe."""
    file, folder = Path(name), Path(name).parent
    try:
        is_directory, is_folder = file.is_dir(), folder.is_dir()
        if is_folder and not is_directory:
            _try(file)
    except OSError as error:
        text = f"{name!r} cannot be written: {(error.strerror or str(error)).lower()}"
        yield ConfigFinding(path, text, code="file-unreadable")
        return
    if is_directory:
        yield ConfigFinding(path, f"{name!r} is a directory: name a file in it", code="file-unreadable")
    elif not is_folder:
        text = f"there is no directory {str(folder)!r} for the log: create it, or correct the path"
        yield ConfigFinding(path, text, code="file-missing")


def _try(file: Path) -> None:
    """Write nothing to a file, or to one without a name beside it: permissions alone do not tell of /proc or a quota.

    :raises OSError: lines could not be written.
    """
    try:
        is_plain = stat.S_ISREG(file.stat().st_mode)
    except FileNotFoundError:
        with tempfile.TemporaryFile(dir=file.parent) as beside:
            try_writing(beside.fileno())
        return
    if not is_plain:  # to open a device or a pipe may do something, or wait
        if not os.access(file, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        try_writing(descriptor)
    finally:
        os.close(descriptor)


def _of_tls(options: TlsOptions, path: ConfigPath) -> Iterator[ConfigFinding]:
    return certificate_findings(path, {"ca": options.ca, "cert": options.cert, "key": options.key})


def _of_patterns(config: LoggerConfig) -> Iterator[ConfigFinding]:
    expressions = {
        ("skip", "when"): config.skip.when,
        ("only", "when"): config.only.when,
        ("sample", "always", "when"): config.sample.always.when,
        ("request_body", "when"): config.request_body.when,
        ("response_body", "when"): config.response_body.when,
    }
    for path, text in expressions.items():
        for pattern in () if text is None else patterns_in(text):
            if pattern.problem is not None:
                yield ConfigFinding(path, pattern.problem, code="not-linear", severity="warning")
