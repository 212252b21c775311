"""Where a provider's keys come from: the configuration, a file, a URL or an issuer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from gateway_plugin_sdk import PluginContext

from gateway_tokens.discovery import value_from_issuer
from gateway_tokens.documents import Document, FetchError, Load
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.freshness import Terms, lifetime_of
from gateway_tokens.jws import Token
from gateway_tokens.keys import KeySet, from_certificates, from_jwks
from gateway_tokens.loaders import Read, terms_of, value_from_file, value_from_url
from gateway_tokens.sharing import acquire, release

FILE_REFRESH: Final = 10.0
"""Seconds between two looks at a file."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where keys come from: exactly one of ``static``, ``file``, ``url`` and ``issuer``."""

    algorithms: tuple[str, ...] = ()
    """Algorithms that are accepted; empty for the usual one of each key."""

    static: KeySet | None = None
    """Keys that the configuration has itself."""

    file: str | None = None
    """Path of a key set."""

    url: str | None = None
    """URL of a key set."""

    has_certificates: bool = False
    """Whether what is at ``url`` is an object of X.509 certificates by ``kid``, and no JSON Web Key Set."""

    issuer: str | None = None
    """Issuer whose metadata names the key set."""

    metadata_url: str | None = None
    """Where that metadata is, if not at the well-known place below the issuer."""

    fetch: FetchOptions = field(default_factory=FetchOptions)


class Keyring(Protocol):
    """The keys of a provider, as they are now."""

    @property
    def stamp(self) -> object:
        """Another object whenever the keys became others."""
        ...

    def current(self) -> KeySet | None: ...

    def may_ask(self, token: Token, client: str) -> bool:
        """Return whether `refetch` may bring the token's key, which is not there yet."""
        ...

    def is_unsure(self, token: Token) -> bool:
        """Return whether the token's key may exist although it is not there, since its source cannot be read now."""
        ...

    def retry_after(self) -> float:
        """Return the seconds after which there may be other keys."""
        ...

    async def refetch(self, token: Token, client: str) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class StaticKeyring:
    """Keys that stand in the configuration."""

    def __init__(self, keys: KeySet) -> None:
        self.stamp: object = keys
        self._keys = keys

    def current(self) -> KeySet:
        return self._keys

    def may_ask(self, token: Token, client: str) -> bool:  # noqa: ARG002 - of the protocol
        return False

    def is_unsure(self, token: Token) -> bool:  # noqa: ARG002 - of the protocol
        return False

    def retry_after(self) -> float:
        return 0.0

    async def refetch(self, token: Token, client: str) -> None:
        """Do nothing: these keys never change."""

    async def start(self) -> None:
        """Do nothing: the keys are here."""

    async def stop(self) -> None:
        """Do nothing: nothing was opened."""


class DocumentKeyring:
    """Keys of a document that changes.

    A document is read once, when it is loaded, with the algorithms of this provider: one without a usable key counts as
    not loaded, so it never replaces keys that work.
    """

    def __init__(self, source: KeySource, context: PluginContext) -> None:
        self._source = source
        self._context = context
        self._document: Document[KeySet] | None = None

    @property
    def stamp(self) -> object:
        return self._document.generation if self._document is not None else None

    def current(self) -> KeySet | None:
        """Return the keys that are in force, or None if there are none yet or they are too old."""
        return self._document.current() if self._document is not None else None

    def may_ask(self, token: Token, client: str) -> bool:  # noqa: ARG002 - any load may bring any key
        return self._document is not None and self._document.may_ask(client)

    def is_unsure(self, token: Token) -> bool:  # noqa: ARG002 - see above
        return self._document is not None and self._document.is_unsure

    def retry_after(self) -> float:
        return self._document.retry_after() if self._document is not None else 0.0

    async def refetch(self, token: Token, client: str) -> None:  # noqa: ARG002 - see above
        if self._document is not None:
            await self._document.refetch(client)

    async def start(self) -> None:
        """Load the keys.

        :raises FetchError: a file has none. A server may be away for a moment: then its keys are waited for, and every
            token is refused meanwhile.
        """
        source, context = self._source, self._context
        name, load, terms = self._place()
        options = await asyncio.to_thread(source.fetch.identity)
        key = ("keys", source.issuer, source.has_certificates, tuple(sorted(source.algorithms)), options)
        document = self._document = acquire(name, key, load, terms, context)
        await document.start()
        if source.file is not None and document.current() is None:
            raise FetchError(f"jwks_file {document.error}")

    async def stop(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def _place(self) -> tuple[str, Load[KeySet], Terms]:
        source = self._source
        read: Read[KeySet] = partial(from_certificates, algorithms=source.algorithms)
        if not source.has_certificates:
            read = partial(from_jwks, algorithms=source.algorithms, secrets_allowed=source.file is not None)
        if source.file is not None:
            terms = Terms(FILE_REFRESH, cooldown=1.0, stale_for=source.fetch.stale_for)
            return source.file, value_from_file(source.file, FILE_REFRESH, read), terms
        terms = terms_of(source.fetch)
        lifetime = partial(lifetime_of, terms=terms)
        if source.url is not None:
            return source.url, value_from_url(source.url, source.fetch, lifetime, read), terms
        issuer = source.issuer or ""
        load = value_from_issuer(issuer, source.fetch, lifetime, read, source.metadata_url)
        return source.metadata_url or issuer, load, terms


def make_keyring(source: KeySource, context: PluginContext) -> Keyring:
    """Return the keys of a source."""
    return StaticKeyring(source.static) if source.static is not None else DocumentKeyring(source, context)
