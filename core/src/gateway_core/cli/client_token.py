"""The token that commands send to an admin listener: from ``GATEWAY_TOKEN``, or from a file, never an argument."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway_core.errors import GatewayError
from gateway_core.failure_text import system_reason

VARIABLE: Final = "GATEWAY_TOKEN"
FILE_VARIABLE: Final = "GATEWAY_TOKEN_FILE"
_LONGEST: Final = 4096


def client_token(environ: Mapping[str, str]) -> str | None:
    """Return the token of this environment; None if it has none.

    Arguments can be seen by every user of the machine, and stay in the history of the shell.

    :raises GatewayError: the file cannot be read, or what was found is no token.
    """
    text, source = environ.get(VARIABLE, ""), VARIABLE
    if not text and (name := environ.get(FILE_VARIABLE, "")):
        source = name
        try:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(_LONGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise GatewayError(
                f"the token in {name} ({FILE_VARIABLE}) cannot be read: {system_reason(error)}"
            ) from error
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise GatewayError(f"what is in {source} is no token")
    return text


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host does not leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
