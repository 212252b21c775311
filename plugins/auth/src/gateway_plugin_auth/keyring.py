"""Where a provider's keys come from: the configuration, a file, a URL or an issuer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, Protocol

from gateway_plugin_sdk import PluginContext

from gateway_plugin_auth.config import JwtOptions
from gateway_plugin_auth.config.texts import many
from gateway_plugin_auth.documents import Document, FetchError, Load
from gateway_plugin_auth.freshness import Terms, lifetime_of
from gateway_plugin_auth.keys import KeySet, from_jwks
from gateway_plugin_auth.loaders import terms_of, value_from_file, value_from_issuer, value_from_url
from gateway_plugin_auth.sharing import acquire, release

FILE_REFRESH: Final = 10.0
"""Seconds between two looks at a file."""


class Keyring(Protocol):
    """The keys of a provider, as they are now."""

    @property
    def stamp(self) -> object:
        """Another object whenever the keys became others."""
        ...

    def current(self) -> KeySet | None: ...

    def may_ask(self, client: str) -> bool:
        """Return whether `refetch` may bring a key that is not there yet."""
        ...

    @property
    def is_unsure(self) -> bool:
        """Whether a key that is not there may exist all the same, since its source cannot be read now."""
        ...

    def retry_after(self) -> float:
        """Return the seconds after which there may be other keys."""
        ...

    async def refetch(self, client: str) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class StaticKeyring:
    """Keys that stand in the configuration."""

    is_unsure = False

    def __init__(self, keys: KeySet) -> None:
        self.stamp: object = keys
        self._keys = keys

    def current(self) -> KeySet:
        return self._keys

    def may_ask(self, client: str) -> bool:  # noqa: ARG002 - of the protocol
        return False

    def retry_after(self) -> float:
        return 0.0

    async def refetch(self, client: str) -> None:
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

    def __init__(self, config: JwtOptions, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._document: Document[KeySet] | None = None

    @property
    def stamp(self) -> object:
        return self._document.generation if self._document is not None else None

    def current(self) -> KeySet | None:
        """Return the keys that are in force, or None if there are none yet or they are too old."""
        return self._document.current() if self._document is not None else None

    def may_ask(self, client: str) -> bool:
        return self._document is not None and self._document.may_ask(client)

    @property
    def is_unsure(self) -> bool:
        return self._document is not None and self._document.is_unsure

    def retry_after(self) -> float:
        return self._document.retry_after() if self._document is not None else 0.0

    async def refetch(self, client: str) -> None:
        if self._document is not None:
            await self._document.refetch(client)

    async def start(self) -> None:
        """Load the keys.

        :raises FetchError: a file has none. A server may be away for a moment: then its keys are waited for, and every
            token is refused meanwhile.
        """
        config, context = self._config, self._context
        name, load, terms = self._source()
        options = await asyncio.to_thread(config.fetch.identity)
        key = ("keys", tuple(sorted(config.algorithms)), options)
        document = self._document = acquire(name, key, load, terms, context)
        await document.start()
        if config.jwks_file is not None and document.current() is None:
            raise FetchError(f"jwks_file {document.error}")

    async def stop(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def _source(self) -> tuple[str, Load[KeySet], Terms]:
        config = self._config
        read = partial(from_jwks, algorithms=config.algorithms, secrets_allowed=config.jwks_file is not None)
        if config.jwks_file is not None:
            terms = Terms(FILE_REFRESH, cooldown=1.0, stale_for=config.fetch.stale_for)
            return config.jwks_file, value_from_file(config.jwks_file, FILE_REFRESH, read), terms
        terms = terms_of(config.fetch)
        lifetime = partial(lifetime_of, terms=terms)
        if config.jwks_url is not None:
            url = config.jwks_url.reveal()
            return url, value_from_url(url, config.fetch, lifetime, read), terms
        issuer = many(config.issuer)[0]
        return issuer, value_from_issuer(issuer, config.fetch, lifetime, read), terms


def make_keyring(config: JwtOptions, context: PluginContext) -> Keyring:
    """Return the keys that a configuration describes."""
    keys = config.static_keys()
    return StaticKeyring(keys) if keys is not None else DocumentKeyring(config, context)
