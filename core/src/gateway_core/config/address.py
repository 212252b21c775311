"""Addresses that configurations hold: what to listen on, the origins of endpoints, and what targets are named by."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway_core.config.values import InvalidValueError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
UNIX: Final = "unix:"
"""What the address of a unix socket begins with."""
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_PLACEHOLDER: Final = re.compile(r":([A-Za-z_][A-Za-z0-9_-]*)")
_LONGEST_HOST: Final = 253
_LONGEST_SOCKET_PATH: Final = 107
"""``sun_path`` of ``sockaddr_un`` on Linux, less the final NUL."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen: ``host`` and ``port``, or the ``path`` of a unix socket. An empty host is every interface."""

    host: str = ""
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an endpoint is: scheme, host and port of a URL (an IPv6 host without brackets), or a unix socket's path.

    A unix socket has the scheme ``http``, no host and the port 0.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    """Absolute path of a unix socket; empty for a URL."""

    @property
    def is_unix(self) -> bool:
        """Whether it is a unix socket."""
        return bool(self.path)

    @property
    def authority(self) -> str:
        """Return ``host:port`` as it stands in a URL, or the path of a unix socket."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """Read ``host:port``, ``:port``, ``[::1]:port`` or ``unix:/path``. IPv4 mapped into IPv6 is IPv4.

    :raises InvalidValueError: for anything else.
    """
    if text.startswith(UNIX):
        return ListenAddress(path=_socket_path(text, "unix:/run/gateway.sock"))
    if "://" in text:
        raise InvalidValueError("is a URL", remedy="write only host:port, and tls beside it for https")
    host, colon, port_text = text.rpartition(":")
    if text.isascii() and text.isdigit() and int(text[:6]) <= 65535:
        raise InvalidValueError("is only a port", remedy=f'write ":{text}" for every interface, or "127.0.0.1:{text}"')
    if not colon or (":" in host and not _is_bracketed(host)):
        raise InvalidValueError("is not an address", remedy="write host:port, :port, [::1]:port or unix:/path")
    if host and not (_is_ipv6(host[1:-1]) if _is_bracketed(host) else is_host(host)):
        raise InvalidValueError("is not an address: the host is neither a name nor an IP address")
    # A socket for IPv6 alone, as all of ours with an address are, cannot be bound to a mapped one.
    return ListenAddress(_as_ipv4(host.strip("[]")), _port(port_text, least=0))


def _as_ipv4(host: str) -> str:
    mapped = ipaddress.IPv6Address(host).ipv4_mapped if ":" in host else None
    return host if mapped is None else str(mapped)


def _socket_path(text: str, example: str) -> str:
    path = text.removeprefix(UNIX)
    if not path.startswith("/") or any(ord(character) < 0x20 for character in path):
        raise InvalidValueError("has no absolute path after unix", remedy=f"write for example {example}")
    if path.endswith("/"):
        raise InvalidValueError(
            "ends with a slash, as only the path of a directory does", remedy=f"write for example {example}"
        )
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise InvalidValueError(f"has a path of more than {_LONGEST_SOCKET_PATH} bytes, which no socket can have")
    return path


def _is_ipv6(text: str) -> bool:
    return ":" in text and is_host(text)


def _is_bracketed(host: str) -> bool:
    return host.startswith("[") and host.endswith("]")


def parse_origin(text: str) -> Origin:
    """Read a URL that is only an origin (scheme, host and port), or ``unix:/path``.

    :raises InvalidValueError: for anything else, naming the part that is too much.
    """
    if text.startswith(UNIX):
        return Origin("http", "", 0, _socket_path(text, "unix:/run/users.sock"))
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        raise InvalidValueError("is not a URL", remedy="write for example http://127.0.0.1:8081") from None
    if parts.scheme not in DEFAULT_PORTS or not text.startswith(f"{parts.scheme}://"):
        raise InvalidValueError("is not an http or https URL", remedy=_SCHEMES.get(parts.scheme, _EXAMPLES))
    if text != text.strip() or any(ord(character) <= 0x20 for character in text):
        raise InvalidValueError("holds a space or a control character")
    _refuse_extras(text, parts.path, parts.username is not None or "@" in parts.netloc)
    bracketed = parts.netloc.startswith("[")
    if not is_host(host) or (":" in host) != bracketed:
        raise InvalidValueError(
            "has no valid host", remedy=punycode_hint(host) or "write for example http://127.0.0.1:8081"
        )
    _, colon, port_text = parts.netloc.rpartition("]" if bracketed else ":")
    port_text = port_text.removeprefix(":") if bracketed else (port_text if colon else "")
    return Origin(parts.scheme, host, _port(port_text, least=1) if port_text else DEFAULT_PORTS[parts.scheme])


_EXAMPLES: Final = "write for example http://127.0.0.1:8081, or unix:/run/users.sock"
_SCHEMES: Final = {
    **dict.fromkeys(["grpc", "h2c"], "write http:// in the endpoint of an upstream with protocol: http2"),
    "grpcs": "write https:// in the endpoint of an upstream with protocol: http2",
    "ws": "write http://, WebSockets pass without a setting",
    "wss": "write https://, WebSockets pass without a setting",
    "lb": "write the name of an upstream, with endpoints or discovery",
}


def _refuse_extras(text: str, path: str, has_user: bool) -> None:
    if has_user:
        raise InvalidValueError("carries credentials", remedy="leave them out of the URL")
    if "?" in text or "#" in text:
        raise InvalidValueError("has a query or a fragment", remedy="write only scheme, host and port")
    if path not in {"", "/"}:
        raise InvalidValueError(
            "has a path", remedy="write only scheme, host and port, and use rewrite on the route for the path"
        )


def is_host(text: str) -> bool:
    """Whether ``text`` is a host name or an IP address (IPv6 without brackets)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _LONGEST_HOST and bool(_HOST.fullmatch(text)) and not _looks_numeric(text)
    return True


_HOST_REMEDY: Final = "write for example api.example.com or *.example.com"


def check_host_pattern(value: str) -> str:
    """Refuse what is neither a host name or address nor ``*.`` before a name.

    :raises InvalidValueError: naming what is wrong.
    """
    if "://" in value or "/" in value:
        raise InvalidValueError("is a URL, where a host is expected", remedy=_HOST_REMEDY)
    name = value.removeprefix("*.").strip("[]")
    if "*" in name:
        raise InvalidValueError("has a * that is not the first label", remedy="write it as in *.example.com")
    if ":" in name and not is_host(name):
        raise InvalidValueError("has a port, which is ignored when hosts are compared", remedy="leave it out")
    if not is_host(name):
        raise InvalidValueError("is not a host", remedy=punycode_hint(value) or _HOST_REMEDY)
    return value


def punycode_hint(value: str) -> str:
    """Return how a name beyond ASCII is written, in which form clients send it; empty if it is none (RFC 5891)."""
    if value.isascii():
        return ""
    labels = value.removesuffix(".").split(".")
    try:
        # A wildcard and a capture stay as they are.
        encoded = [label if label.isascii() else label.lower().encode("idna").decode("ascii") for label in labels]
    except UnicodeError:
        return ""
    return f"clients send it as {'.'.join(encoded)}, so write that"


def is_placeholder(value: str) -> bool:
    """Whether a text is what stands for the client's Host in other gateways: ``$host``, ``{http.request.host}``."""
    return re.fullmatch(r"\$[a-z_]+|\$?\{[^{}]*\}", value) is not None


def check_authority(value: str) -> str:
    """Refuse what is neither a host nor a host with a port, as it stands in a Host field.

    :raises InvalidValueError: naming what is expected.
    """
    host = re.sub(r":\d{1,5}$", "", value) if value.count(":") == 1 or value.startswith("[") else value
    port = value[len(host) + 1 :]
    is_bracketed = _is_bracketed(host)
    if not is_host(host[1:-1] if is_bracketed else host) or (":" in host) is not is_bracketed:
        remedy = punycode_hint(host) or "write for example users.internal"
        if is_placeholder(value):
            remedy = "write preserve_host: true for the client's, or a fixed one such as users.internal"
        raise InvalidValueError("is not a host, with or without a port", remedy=remedy)
    if port and not 0 < int(port) <= 65535:
        raise InvalidValueError("has no port between 1 and 65535 at its end")
    return value


def _looks_numeric(text: str) -> bool:
    # 256.1.1.1 or 10.1 is a mistyped address; no top-level domain is a number (RFC 3696, section 2).
    return text.rstrip(".").rpartition(".")[2].isdigit()


def _port(text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:6]) <= 65535:
        raise InvalidValueError(f"has no port between {least} and 65535 at its end")
    return int(text)


@dataclass(frozen=True, slots=True)
class TargetName:
    """A target with parameters in its name (``users-:tenant``).

    ``parts`` alternates between literal texts and names of parameters.
    """

    parts: tuple[str, ...]

    @property
    def params(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return self.parts[1::2]

    def for_params(self, params: Mapping[str, str]) -> str | None:
        """Return the name of a request's target; None if a parameter is missing."""
        texts = list(self.parts)
        for index in range(1, len(texts), 2):
            text = params.get(texts[index])
            if text is None:
                return None
            texts[index] = text
        return "".join(texts)

    def among(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that a request may be sent to."""
        pattern = re.compile(
            "".join([".+" if index % 2 else re.escape(part) for index, part in enumerate(self.parts)]), re.DOTALL
        )
        return [name for name in names if pattern.fullmatch(name)]


def target_name(target: str) -> TargetName | None:
    """Return what names a target by parameters; None if the text has none."""
    parts = tuple(_PLACEHOLDER.split(target))
    return TargetName(parts) if len(parts) > 1 else None


def is_private(address: ListenAddress) -> bool:
    """Whether only this machine reaches an address; without a host it is every interface's."""
    found = _address(address.host)
    return bool(address.path) or (found is not None and found.is_loopback)


def overlap(later: ListenAddress, earlier: ListenAddress) -> bool:
    """Whether a process that listens on one address cannot listen on another as well.

    An address without a host is every interface, IPv4 and IPv6 (one dual-stack socket); ``0.0.0.0`` and ``[::]`` are
    those of one family. Names of hosts are not resolved, apart from ``localhost``.
    """
    if later.path or earlier.path:
        return bool(later.path and earlier.path) and posixpath.normpath(later.path) == posixpath.normpath(earlier.path)
    if later.port != earlier.port or not later.port:
        return False  # Port 0 takes a free one each time.
    if not later.host or not earlier.host:
        return True
    taken, wanted = _address(earlier.host), _address(later.host)
    if taken is None or wanted is None:
        return later.host.lower() == earlier.host.lower()
    is_wildcard = taken.is_unspecified or wanted.is_unspecified
    return taken.version == wanted.version and (is_wildcard or taken == wanted)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        return None
