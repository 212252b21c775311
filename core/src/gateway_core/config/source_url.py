"""The URL of a source: what ``gateway run -c`` takes besides paths, and ``sources`` of a configuration names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from gateway_core.config.documents import Right
from gateway_core.config.values import parse_duration, parse_size

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(\?(?P<query>[^#]*))?")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET: Final = re.compile(r"pass|token|secret|user|key|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class SourceUrl:
    """A source as an operator names it; as a text it is without credentials and options, fit for logs."""

    scheme: str
    hosts: tuple[str, ...]
    """``host`` or ``host:port``, as given; several, separated by commas, are members of one cluster."""

    path: str
    """Percent-decoded; empty, or begins with a slash."""

    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The query."""

    username: str = ""
    password: str = ""
    text: str = ""
    """The URL as given, with its secrets: not for logs."""
    rights: frozenset[Right] = frozenset()
    """What its documents may bring in; nothing for a URL of the command line."""

    @classmethod
    def parse(cls, text: str) -> SourceUrl:
        """Read a URL such as ``etcd://user:word@10.0.0.1:2379,10.0.0.2:2379/gateway?ca=/etc/ca.pem``.

        :raises ValueError: it is none. The text does not quote the URL, which may hold a password.
        """
        match = _URL.fullmatch(text)
        if match is None:
            raise ValueError("is not a URL such as etcd://127.0.0.1:2379/gateway")
        user, at, hosts = match["authority"].rpartition("@")
        username, _, password = user.partition(":")
        named = tuple(host for host in hosts.split(",") if host)
        for host in named:
            _check_port(host)
        options: dict[str, str] = {}
        for name, value in parse_qsl(match["query"] or "", keep_blank_values=True):
            if name in options:
                raise ValueError(f"has the option {name!r} twice: give it once")
            options[name] = value
        return cls(
            match["scheme"],
            named,
            unquote(match["path"]),
            options,
            unquote(username) if at else "",
            unquote(password) if at else "",
            text,
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{','.join(self.hosts)}{self.path}"

    def __repr__(self) -> str:
        return f"<SourceUrl {self}>"

    @property
    def identity(self) -> str:
        """What tells sources apart: everything but credentials, so that a new password is the same source."""
        kept = sorted((name, value) for name, value in self.options.items() if not _SECRET.search(name))
        return "&".join([str(self), *(f"{name}={value}" for name, value in kept)])

    def seconds(self, name: str, default: float) -> float:
        """Return an option that is a duration such as ``5s``.

        :raises ValueError: it is none, or not longer than 0.
        """
        if name not in self.options:
            return default
        try:
            value = parse_duration(self.options[name])
        except ValueError as error:
            raise ValueError(f"option {name}: {self.options[name]!r} {error}") from None
        if value <= 0:
            raise ValueError(f"option {name}: {self.options[name]!r} is not longer than 0")
        return value

    def size(self, name: str, default: int) -> int:
        """Return an option that is a size such as ``1MiB``, in bytes.

        :raises ValueError: it is none.
        """
        if name not in self.options:
            return default
        try:
            return parse_size(self.options[name])
        except ValueError as error:
            raise ValueError(f"option {name}: {self.options[name]!r} {error}") from None

    def allow_options(self, *known: str) -> None:
        """Refuse options that nobody knows: a misspelt one would be without effect.

        :raises ValueError: naming the first of them and what there is.
        """
        for name in self.options:
            if name not in known:
                raise ValueError(f"option {name!r} is unknown: known are {', '.join(sorted(known)) or 'none'}")


def _check_port(host: str) -> None:
    _, colon, port = (host.rpartition("]")[2] if host.startswith("[") else host).partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"has the port {port!r}: write a number from 1 to 65535")


ConfigRoot = Path | SourceUrl
"""What one ``-c`` names."""


def parse_root(text: str) -> ConfigRoot:
    """Read what one ``-c`` names: a URL if it has a scheme and two slashes, else a path.

    :raises ValueError: it begins like a URL and is none.
    """
    return SourceUrl.parse(text) if _SCHEME.match(text) else Path(text)


def paths_of(roots: tuple[ConfigRoot, ...]) -> tuple[Path, ...]:
    """Return the files and directories among them."""
    return tuple(root for root in roots if isinstance(root, Path))


def urls_of(roots: tuple[ConfigRoot, ...]) -> tuple[SourceUrl, ...]:
    """Return the sources among them."""
    return tuple(root for root in roots if isinstance(root, SourceUrl))
