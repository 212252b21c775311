"""Pieces of the gateway's own plugins and extensions: TLS contexts, file names, lines, document formats, URLs, marks.

Outside the promise of stability: a minor release may change or remove them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_core.client_tls import RenewedTls
from gateway_core.clock import SystemClock
from gateway_core.config import ENVIRONMENT_KEY, PROGRAM_KEY, OptionalFileName
from gateway_core.failure_text import failure_text

from gateway_plugin_sdk import DocumentFormat, GatewayError

__all__ = [
    "DOCUMENT_FORMATS",
    "ENVIRONMENT_KEY",
    "PROGRAM_KEY",
    "LineSplitter",
    "LineTooLongError",
    "OptionalFileName",
    "RenewedTls",
    "SystemClock",
    "certificate_configs",
    "document_format",
    "failure_text",
    "is_server_url",
    "with_port",
]

# -- lines


class LineTooLongError(GatewayError, ValueError):
    """A line that is longer than anything that the server could mean."""


class LineSplitter:
    """Cuts the parts of a stream into lines. Costs each byte once, however the parts fall."""

    __slots__ = ("_longest", "_parts", "_size")

    def __init__(self, longest: int) -> None:
        """Begin with an empty line.

        :param longest: bytes that a line may have.
        """
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        """Take the next part, and return the lines that are complete now, without their ends and without empty ones.

        :raises LineTooLongError: there is no end in sight.
        """
        first, *others = part.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._longest:
            raise LineTooLongError(f"a line of the stream is longer than {self._longest} bytes")
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._size = [others[-1]], len(others[-1])
        return [line for line in lines if line.strip()]


# -- documents

DOCUMENT_FORMATS: Final[Mapping[str, DocumentFormat]] = {
    "": DocumentFormat.YAML,
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
    ".json": DocumentFormat.JSON,
    ".toml": DocumentFormat.TOML,
}
"""By the ending of a document's name; none is YAML."""


def document_format(name: str) -> DocumentFormat | None:
    """Return the format of a document by its name; None for an ending that no document has."""
    return DOCUMENT_FORMATS.get(PurePosixPath(name).suffix)


# -- configurations


def certificate_configs(paths: Iterable[Path], name: str) -> list[Mapping[str, Any]]:
    """Return the configurations of certificates with a name, of all listeners in some files, each once. Blocks.

    :raises GatewayError: the configuration has errors.
    """
    # A plugin that serves has no use for what reads and checks configurations.
    from gateway_core.packages import PluginRegistry  # noqa: PLC0415
    from gateway_core.snapshot import load  # noqa: PLC0415

    loaded = load(list(paths), registry=PluginRegistry(), environ=os.environ)
    found: list[Mapping[str, Any]] = []
    for listen in loaded.config.listen:
        entries = () if listen.tls is None else listen.tls.certificates
        found += [each.config for each in entries if each.name == name and each.config not in found]
    return found


# -- URLs


def is_server_url(text: str) -> bool:
    """Whether a text is a URL of a server to connect to: http or https, a host, and a port that there can be."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_plain = not (parts.query or parts.fragment or any(character.isspace() for character in text))
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and is_plain


def with_port(host: str, default: int) -> str:
    """Return a host with its port; an IPv6 address stands in brackets."""
    has_port = ":" in (host.rpartition("]")[2] if host.startswith("[") else host)
    return host if has_port else f"{host}:{default}"
