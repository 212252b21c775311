"""Where a provider's keys come from: the configuration, a file, a URL or an issuer."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from gateway_plugin_sdk import PluginContext

from gateway_plugin_auth.algorithms import UnusableKeyError, weakness
from gateway_plugin_auth.config import JwtOptions
from gateway_plugin_auth.config.jwt import decode_secret
from gateway_plugin_auth.config.texts import many
from gateway_plugin_auth.documents import Document, FetchError, Load
from gateway_plugin_auth.freshness import Terms
from gateway_plugin_auth.keys import KeySet, from_jwks
from gateway_plugin_auth.loaders import checked_jwks, jwks_from_issuer, jwks_from_url, terms_of, value_from_file
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

    def may_ask(self) -> bool:
        """Say whether `refetch` may bring a key that is not there yet."""
        ...

    async def refetch(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class StaticKeyring:
    """Keys that stand in the configuration."""

    def __init__(self, keys: KeySet) -> None:
        self.stamp: object = keys
        self._keys = keys

    def current(self) -> KeySet:
        return self._keys

    def may_ask(self) -> bool:
        return False

    async def refetch(self) -> None:
        """Do nothing: these keys never change."""

    async def start(self) -> None:
        """Do nothing: the keys are here."""

    async def stop(self) -> None:
        """Do nothing: nothing was opened."""


class DocumentKeyring:
    """Keys of a document that changes."""

    def __init__(self, config: JwtOptions, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._document: Document[str] | None = None
        self._seen: object = None
        self._keys: KeySet | None = None

    @property
    def stamp(self) -> object:
        return self._document.generation if self._document is not None else None

    def current(self) -> KeySet | None:
        """Return the keys that are in force, or None if there are none yet or they are too old."""
        document = self._document
        if document is None:
            return None
        text = document.current()
        if text is None:
            return None
        if self._seen is not document.generation:
            self._seen, self._keys = document.generation, self._read(text, document.name)
        return self._keys

    def _read(self, text: str, name: str) -> KeySet:
        secrets_allowed = self._config.jwks_file is not None
        try:
            keys = from_jwks(text, self._config.algorithms, secrets_allowed=secrets_allowed)
        except UnusableKeyError as error:
            self._context.log.error("no token can be verified with %s: %s", name, error)
            return KeySet(())
        for reason in keys.unusable:
            self._context.log.info("%s: left out %s", name, reason)
        return keys

    def may_ask(self) -> bool:
        return self._document is not None and self._document.may_ask()

    async def refetch(self) -> None:
        if self._document is not None:
            await self._document.refetch()

    async def start(self) -> None:
        """Load the keys.

        :raises FetchError: a file has none. A server may be away for a moment: then its keys are waited for, and every
            token is refused meanwhile.
        """
        config, context = self._config, self._context
        name, load, terms = self._source()
        key = config.fetch.model_dump_json()
        document = self._document = acquire(name, key, load, terms, context.clock, context.log)
        await document.start()
        if config.jwks_file is not None and document.current() is None:
            raise FetchError(f"jwks_file {name!r} has no usable keys, or cannot be read")

    async def stop(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def _source(self) -> tuple[str, Load[str], Terms]:
        config = self._config
        if config.jwks_file is not None:
            path = config.jwks_file
            terms = Terms(FILE_REFRESH, cooldown=1.0, stale_for=config.fetch.stale_for)
            return path, value_from_file(path, FILE_REFRESH, lambda text: checked_jwks(text, path)), terms
        if config.jwks_url is not None:
            return config.jwks_url, jwks_from_url(config.jwks_url, config.fetch), terms_of(config.fetch)
        issuer = many(config.issuer)[0]
        return issuer, jwks_from_issuer(issuer, config.fetch), terms_of(config.fetch)


def make_keyring(config: JwtOptions, context: PluginContext) -> Keyring:
    """Return the keys that a configuration describes."""
    keys = config.static_keys()
    if keys is None:
        return DocumentKeyring(config, context)
    _warn_of_weak_secret(config, keys, context.log)
    return StaticKeyring(keys)


def _warn_of_weak_secret(config: JwtOptions, keys: KeySet, log: logging.Logger) -> None:
    if config.secret is not None:
        reason = weakness(decode_secret(config.secret, config.secret_format), keys.keys[0].algorithms)
        if reason is not None:
            log.warning("%s", reason)
