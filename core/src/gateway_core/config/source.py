"""A source of configuration documents: its URL, what the gateway lends it, and what it yields.

Sources are what ``gateway run -c`` takes besides paths, and what ``sources`` of a configuration names.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, unquote

from gateway_core.clock import Clock
from gateway_core.config.documents import Document, Right

if TYPE_CHECKING:
    import aiohttp


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
    """The query, as it is written."""

    username: str = ""
    password: str = ""
    text: str = ""
    """The URL as given, with its secrets: not for logs."""
    rights: frozenset[Right] = frozenset()
    """What its documents may bring in; nothing for a URL of the command line."""
    directory: Path | None = field(default=None, compare=False)
    """Of the file that names it, where names of files in its options begin; None for a URL of the command line."""
    config: Any = field(default=None, compare=False)
    """The options as an instance of the source's ``config_model``; None until a source is made of the URL."""

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
        """What distinguishes sources: everything but credentials, so that a new password is the same source."""
        kept = sorted((name, value) for name, value in self.options.items() if not _SECRET.search(name))
        return "&".join([str(self), *(f"{name}={value}" for name, value in kept)])


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


def names_of(roots: Iterable[ConfigRoot]) -> list[str]:
    """Return what distinguishes the configuration of a gateway from those of others, wherever it is started.

    Links stay as they are: after each swap of a ConfigMap they lead to another file, which is the same configuration.
    """
    # Path.absolute would keep "..".
    return [root.text if isinstance(root, SourceUrl) else os.path.abspath(root) for root in roots]  # noqa: PTH100


def paths_of(roots: tuple[ConfigRoot, ...]) -> tuple[Path, ...]:
    """Return the files and directories among them."""
    return tuple(root for root in roots if isinstance(root, Path))


def urls_of(roots: tuple[ConfigRoot, ...]) -> tuple[SourceUrl, ...]:
    """Return the sources among them."""
    return tuple(root for root in roots if isinstance(root, SourceUrl))


@dataclass(frozen=True, slots=True)
class SourceState:
    """What a source knows at one moment."""

    documents: tuple[Document, ...]
    """All of its documents, not only the changed ones, in the order in which they are read. A document's name is what
    the place of a problem shows, such as ``etcd://127.0.0.1:2379/gateway/routes.yaml``."""
    is_stale: bool = False
    """Whether the source cannot be asked at present, so that these are the last documents it gave."""
    reason: str = ""
    """Why it is stale."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the gateway gives to a source."""

    clock: Clock
    rng: Random
    environ: Mapping[str, str]
    """The environment: a place for credentials."""
    session: Callable[[], aiohttp.ClientSession]
    """A session for calls to the source; not to be closed. It decodes no ``Content-Encoding``, so ask for none."""


class ConfigSource(Protocol):
    """Finds the documents of one source."""

    def documents(self) -> AsyncIterator[SourceState]:
        """Yield what is known, first as soon as possible and then after each change; gathering bursts is not needed.

        While the source is away, what was yielded last stays in force; yield it again as stale to say so. An exception
        is logged, the state is marked stale, and ``documents`` is called again after a pause that grows. The iterator
        is closed when the gateway ends.
        """
        ...


class SourceFactory(Protocol):
    """A class of sources; what the ``gateway_config_sources`` hook offers by URL scheme."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of the options in the URL's query; None takes no options."""
        ...

    def __call__(self, url: SourceUrl, context: SourceContext) -> ConfigSource:
        """Make a source; nothing is connected yet.

        :param url: its ``config`` is an instance of the model.

        :raises ValueError: for a URL that cannot work, saying what is wrong with it, without its credentials.
        """
        ...
