"""Addresses that configurations hold: what to listen on, and the origins of endpoints and targets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway_core.config.values import InvalidValueError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_LONGEST_HOST: Final = 253


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen: ``host`` and ``port``, or the ``path`` of a unix socket. An empty host is every interface."""

    host: str = ""
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL; an IPv6 host is without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return ``host:port`` as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """Read ``host:port``, ``:port``, ``[::1]:port`` or ``unix:/path``.

    :raises InvalidValueError: for anything else.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise InvalidValueError("has no absolute path after unix: write for example unix:/run/gateway.sock")
        return ListenAddress(path=path)
    if "://" in text:
        raise InvalidValueError("is a URL: write only host:port, and tls beside it for https")
    host, colon, port_text = text.rpartition(":")
    if not colon or (":" in host and not _is_bracketed(host)):
        raise InvalidValueError("is not an address: write host:port, :port, [::1]:port or unix:/path")
    if host and not (_is_ipv6(host[1:-1]) if _is_bracketed(host) else is_host(host)):
        raise InvalidValueError("is not an address: the host is neither a name nor an IP address")
    return ListenAddress(host.strip("[]"), _port(port_text, least=0))


def _is_ipv6(text: str) -> bool:
    return ":" in text and is_host(text)


def _is_bracketed(host: str) -> bool:
    return host.startswith("[") and host.endswith("]")


def parse_origin(text: str) -> Origin:
    """Read a URL that is only an origin: scheme, host and port.

    :raises InvalidValueError: for anything else, naming the part that is too much.
    """
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        raise InvalidValueError("is not a URL: write for example http://127.0.0.1:8081") from None
    if parts.scheme not in DEFAULT_PORTS or not text.startswith(f"{parts.scheme}://"):
        raise InvalidValueError("is not an http or https URL: write for example http://127.0.0.1:8081")
    if text != text.strip() or any(ord(character) <= 0x20 for character in text):
        raise InvalidValueError("holds a space or a control character")
    _refuse_extras(text, parts.path, parts.username is not None or "@" in parts.netloc)
    bracketed = parts.netloc.startswith("[")
    if not is_host(host) or (":" in host) != bracketed:
        raise InvalidValueError("has no valid host: write for example http://127.0.0.1:8081")
    _, colon, port_text = parts.netloc.rpartition("]" if bracketed else ":")
    port_text = port_text.removeprefix(":") if bracketed else (port_text if colon else "")
    return Origin(parts.scheme, host, _port(port_text, least=1) if port_text else DEFAULT_PORTS[parts.scheme])


def _refuse_extras(text: str, path: str, has_user: bool) -> None:
    if has_user:
        raise InvalidValueError("carries credentials: leave them out of the URL")
    if "?" in text or "#" in text:
        raise InvalidValueError("has a query or a fragment: write only scheme, host and port")
    if path not in {"", "/"}:
        raise InvalidValueError(
            "has a path: write only scheme, host and port, and use rewrite on the route for the path"
        )


def is_host(text: str) -> bool:
    """Whether ``text`` is a host name or an IP address (IPv6 without brackets)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _LONGEST_HOST and bool(_HOST.fullmatch(text)) and not _looks_numeric(text)
    return True


def _looks_numeric(text: str) -> bool:
    # 256.1.1.1 or 10.1 is a mistyped address; no top-level domain is a number (RFC 3696, section 2).
    return text.rstrip(".").rpartition(".")[2].isdigit()


def _port(text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:6]) <= 65535:
        raise InvalidValueError(f"has no port between {least} and 65535 at its end")
    return int(text)
