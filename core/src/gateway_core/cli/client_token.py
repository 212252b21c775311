"""What commands show an admin listener: a token from ``GATEWAY_TOKEN`` or a file, or a client certificate.

Never from an argument, which every user of the machine can see.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway_core.errors import GatewayError
from gateway_core.failure_text import system_reason

if TYPE_CHECKING:
    import ssl

VARIABLE: Final = "GATEWAY_TOKEN"
FILE_VARIABLE: Final = "GATEWAY_TOKEN_FILE"
CERT_VARIABLE: Final = "GATEWAY_CLIENT_CERT"
KEY_VARIABLE: Final = "GATEWAY_CLIENT_KEY"
"""Of the private key, where it is in another file than the certificate."""
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


def client_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return what commands connect with by TLS, with the client certificate of this environment if it has one.

    :raises GatewayError: the certificate or its key cannot be used.
    """
    import ssl  # noqa: PLC0415 - it costs time, and most commands do without

    context = ssl.create_default_context()  # authorities of the system, or of SSL_CERT_FILE
    if certificate := environ.get(CERT_VARIABLE, ""):
        key = environ.get(KEY_VARIABLE, "")
        try:
            # A passphrase would be asked for on the terminal.
            context.load_cert_chain(certificate, key or None, password="")
        except OSError as error:  # ssl.SSLError is one
            text = f"the client certificate in {certificate} ({CERT_VARIABLE}, {KEY_VARIABLE}) cannot be used"
            raise GatewayError(f"{text}: {system_reason(error)}") from error
    return context


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host does not leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
