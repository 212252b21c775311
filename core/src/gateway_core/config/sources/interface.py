"""How configuration documents come from somewhere that is no file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from gateway_core.clock import Clock
from gateway_core.config.documents import Document
from gateway_core.config.source_url import SourceUrl

if TYPE_CHECKING:
    import aiohttp


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

    def __call__(self, url: SourceUrl, context: SourceContext) -> ConfigSource:
        """Make it from what ``-c`` says; nothing is connected yet.

        :raises ValueError: for a URL that cannot work, saying what is wrong with it, without its credentials.
        """
        ...
