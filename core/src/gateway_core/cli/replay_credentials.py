"""Credentials for ``gateway replay``: fields that recordings never have, from a file, never from an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway_core.cli.client_token import is_loopback
from gateway_core.errors import GatewayError
from gateway_core.failure_text import system_reason

_LARGEST: Final = 64 << 10
"""Bytes of the file."""
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]+")
_FRAMING: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})


def read_credentials(file: Path) -> dict[str, str]:
    """Return the fields of a file, ``NAME: VALUE`` on each line, as curl reads them with ``-H @FILE``.

    :raises GatewayError: it cannot be read, or a line is no field; the text has no value.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise GatewayError(f"the credentials in {file} cannot be read: {system_reason(error)}") from error
    if len(content) > _LARGEST:
        raise GatewayError(f"the credentials in {file} are larger than {_LARGEST >> 10} KiB")
    found: dict[str, str] = {}
    for number, line in enumerate(content.decode("latin-1").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise GatewayError(f"{file}, line {number} is no header: write NAME: VALUE")
        if name.lower() in _FRAMING:
            raise GatewayError(f"{file}, line {number}: {name} is not for credentials: leave it out")
        if name.lower() in {each.lower() for each in found}:
            raise GatewayError(f"{file}, line {number}: {name} is there twice")
        found[name] = value
    return found


def check_confidential(url: str) -> None:
    """Refuse to send credentials where others can read them.

    :raises GatewayError: the URL is plain HTTP to another machine.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise GatewayError(f"credentials are not sent to {parts.hostname} over plain HTTP: write https://")


def with_credentials(headers: Mapping[str, str], credentials: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a request with credentials, which take the place of recorded ones of the same name."""
    names = {name.lower() for name in credentials}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **credentials}
