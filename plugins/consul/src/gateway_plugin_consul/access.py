"""Where Consul's agents are, and who we are to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigFile
from gateway_plugin_sdk.unstable import RenewedTls, is_server_url

DEFAULT_ADDRESS: Final = "http://127.0.0.1:8500"
TOKEN_VARIABLE: Final = "CONSUL_HTTP_TOKEN"  # noqa: S105  # a name
TOKEN_FILE_VARIABLE: Final = "CONSUL_HTTP_TOKEN_FILE"  # noqa: S105  # a name


class AccessError(ValueError):
    """An address, a token or a certificate that cannot be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """An ACL token, from the configuration, a file or the environment."""

    value: str = field(default="", repr=False)
    file: Path | None = None
    """Read for each request, since whoever issues tokens may replace it."""

    @classmethod
    def of(cls, value: str, file: str, environ: Mapping[str, str]) -> Token:
        """Return what is given, else what the variables of Consul's own tools say."""
        if value or file:
            return cls(value, Path(file) if file else None)
        path = environ.get(TOKEN_FILE_VARIABLE, "")
        return cls(environ.get(TOKEN_VARIABLE, ""), Path(path) if path else None)

    def header(self) -> Mapping[str, str]:
        """Return the header field of the token, if there is one.

        :raises AccessError: the token's file cannot be read.
        """
        value = self.value
        if self.file is not None:
            try:
                value = ConfigFile(self.file).read_text("ascii").strip()
            except (OSError, ValueError) as error:
                raise AccessError(f"the token in {str(self.file)!r} cannot be read: {error}") from None
        return {"X-Consul-Token": value} if value else {}


@dataclass(frozen=True, slots=True)
class Access:
    """Agents that are asked one after the other until one responds."""

    addresses: tuple[str, ...] = (DEFAULT_ADDRESS,)
    """URLs without a slash at the end."""
    token: Token = Token()
    tls: RenewedTls | bool = True
    server_name: str | None = None


def check_address(address: str) -> str:
    """Return an address without the slash at its end.

    :raises AccessError: it is no URL of scheme, host and port.
    """
    if not is_server_url(address):
        raise AccessError(f"address {address!r} is not a URL such as {DEFAULT_ADDRESS}")
    if urlsplit(address).username is not None:
        raise AccessError("the address has a user: give the token as token")
    return address.rstrip("/")


def tls_of(ca: str, cert: str, key: str, *, verify: bool = True) -> RenewedTls:
    """Return how TLS is done.

    :raises AccessError: a file cannot be used.
    """
    try:
        return RenewedTls(ca, cert, key, verify=verify)
    except ValueError as error:
        raise AccessError(str(error)) from None
