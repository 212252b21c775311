"""Recordings: requests as lines of JSON in a file for its owner alone, which `gateway record` writes and `gateway
replay` reads.

The first line is ``{"type": "recording", "format": 1, ...}``. Others are ``request`` (what is sent again: no body, no
credentials, no address of a client) and ``gap`` (requests that are missing here). Unknown members and types are of a
later gateway, and are ignored.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from gateway_core.errors import GatewayError

FORMAT: Final = 1
LONGEST_LINE: Final = 1 << 20
"""Bytes; the longest that is written is some 50 KiB."""
LONGEST_SHOWN: Final = 1000
"""Characters of a path and of a query that a gateway shows: one that is as long may have been longer."""

_METHOD: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}")
_TARGET: Final = re.compile(r"/[\x21-\x7e\x80-\xff]*")
_HOST: Final = re.compile(r"[\x21-\x7e]*")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class RecordingError(GatewayError):
    """A file is no recording, or cannot be read or written; the text names file and line."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request, as it is sent again."""

    method: str
    host: str
    path: str
    """As the client sent it; begins with ``/``."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    route: str | None = None
    """The route that took it when it was recorded."""
    status: int = 0
    """What it came to when it was recorded."""

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @classmethod
    def of_event(cls, data: Mapping[str, Any]) -> RecordedRequest | None:
        """Return what is recorded of an event ``tail``.

        :returns: None if it cannot be sent again: its target is too long to be shown whole, or is none of a path, or
            its connection became another protocol's.
        """
        if data["status"] == 101 or max(len(data["path"]), len(data["query"])) >= LONGEST_SHOWN:
            return None
        names = "method", "host", "path", "query", "headers", "route", "status"
        try:
            return cls.from_plain({name: data[name] for name in names if name in data})
        except ValueError:
            return None

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RecordedRequest:
        """Undo `to_plain`.

        :raises ValueError: a member is missing or cannot be sent; the text names it.
        """
        texts = {name: plain.get(name, "") for name in ("method", "host", "path", "query")}
        headers, route, status = plain.get("headers", {}), plain.get("route"), plain.get("status", 0)
        if not all(isinstance(text, str) for text in texts.values()) or not isinstance(route, str | None):
            raise ValueError("method, host, path, query and route are texts")
        if not _METHOD.fullmatch(texts["method"]) or texts["method"].upper() == "CONNECT":
            raise ValueError(f"{texts['method'][:40]!r} is no method that can be sent again")
        if not _HOST.fullmatch(texts["host"]):
            raise ValueError(f"{texts['host'][:60]!r} is no host")
        if not _TARGET.fullmatch(texts["path"]) or not _TARGET.fullmatch(f"/{texts['query']}"):
            raise ValueError("the path does not begin with /, or path or query have characters that are not sent")
        if not isinstance(headers, dict) or not all(_is_field(*each) for each in headers.items()):
            raise ValueError("headers are no names and values")
        if not isinstance(status, int):
            raise ValueError("status is no number")
        return cls(**texts, headers=headers, route=route, status=status)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "method": self.method,
            "host": self.host,
            "path": self.path,
            "query": self.query,
            "headers": dict(self.headers),
            "route": self.route,
            "status": self.status,
        }


def _is_field(name: str, value: object) -> bool:
    # The client that sends it again frames it itself.
    is_sent = name.lower() not in {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"}
    return is_sent and bool(_METHOD.fullmatch(name)) and isinstance(value, str) and bool(_VALUE.fullmatch(value))


class RecordingWriter:
    """Writes a recording that ends with a whole line, whatever interrupts it."""

    def __init__(self, path: Path, facts: Mapping[str, Any], *, max_bytes: int, replaces: bool) -> None:
        """Make the file, for its owner alone.

        :param facts: members of the first line.
        :param max_bytes: that the file may have.
        :param replaces: a file that is there is removed.
        :raises RecordingError: it cannot be made, or there is one.
        """
        self.size = 0
        self._max_bytes = max_bytes
        self._path = path
        try:
            if replaces:
                check_replaceable(path)
                path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be made: {error.strerror or error}") from error
        os.fchmod(self._descriptor, 0o600)  # the umask may have taken more away
        self.add("recording", {"format": FORMAT, **facts})

    def add(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Write a line; return False if the file has no room for it.

        :raises RecordingError: it cannot be written, as the disk is full.
        """
        line = f"{json.dumps({'type': kind, **data}, separators=(',', ':'))}\n".encode()
        if self.size + len(line) > self._max_bytes:
            return False
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            raise RecordingError(f"{self._path} cannot be written: {error.strerror or error}") from error
        self.size += len(line)
        return True

    def close(self) -> None:
        """End it with the last line that is whole: a signal may have come in the middle of one."""
        try:
            os.ftruncate(self._descriptor, self.size)
        finally:
            os.close(self._descriptor)


def check_replaceable(path: Path) -> None:
    """Refuse what is no ordinary file: a link, a device, a directory.

    :raises OSError: it is one of these, or that cannot be seen.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is there, and no ordinary file")


class RecordingReader:
    """Reads a recording line by line, as often as it is iterated over."""

    def __init__(self, path: Path) -> None:
        """Open it.

        :raises RecordingError: it cannot be read, or is none.
        """
        self._path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[RecordedRequest]:
        """Yield the requests.

        :raises RecordingError: a line cannot be used.
        """
        for number, line in enumerate(self._lines(), 1):
            try:
                plain = json.loads(line)
                if not isinstance(plain, dict):
                    raise ValueError("it is no object")
                if number == 1 and (plain.get("type"), plain.get("format")) != ("recording", FORMAT):
                    raise ValueError("the file is no recording of `gateway record`, or of another version of it")
                request = RecordedRequest.from_plain(plain) if plain.get("type") == "request" else None
            except (ValueError, RecursionError) as error:
                raise RecordingError(f"line {number} of {self._path} cannot be used: {error}") from error
            if request is not None:
                yield request

    def _lines(self) -> Iterator[bytes]:
        try:
            self._file.seek(0)
            number = 0
            while line := self._file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise RecordingError(f"line {number} of {self._path} is longer than {LONGEST_LINE} bytes")
                yield line
        except OSError as error:
            raise RecordingError(f"{self._path} cannot be read: {error.strerror or error}") from error
        if not number:
            raise RecordingError(f"{self._path} is empty")
