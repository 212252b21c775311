"""The provider: its metadata and keys, kept fresh beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gateway_plugin_sdk import PluginContext
from gateway_tokens.discovery import Metadata, endpoint_of, fetch_metadata
from gateway_tokens.documents import Document, Load, Loaded
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.freshness import lifetime_of
from gateway_tokens.jws import Token
from gateway_tokens.keys import KeySet, from_jwks
from gateway_tokens.loaders import Client, Reader, terms_of
from gateway_tokens.sharing import acquire, release
from gateway_tokens.texts import shown_url

_BASIC: Final = "client_secret_basic"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as its metadata and keys describe it."""

    authorization_endpoint: str
    token_endpoint: str
    keys: KeySet
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""
    auth_methods: tuple[str, ...] = (_BASIC,)
    """How clients may authenticate at the token endpoint."""
    sends_iss: bool = False
    """Whether every authorization response has ``iss`` (RFC 9207)."""


def provider_of(metadata: Metadata, keys: KeySet, place: str, *, allow_http: bool) -> Provider:
    """Return the provider that metadata describes.

    :raises FetchError: an endpoint is missing, or is no URL that can be trusted.
    """

    def endpoint(name: str) -> str:
        return endpoint_of(metadata, name, place, allow_http=allow_http)

    def optional(name: str) -> str:
        return endpoint(name) if metadata.get(name) else ""

    methods = metadata.get("token_endpoint_auth_methods_supported")
    return Provider(
        endpoint("authorization_endpoint"),
        endpoint("token_endpoint"),
        keys,
        optional("userinfo_endpoint"),
        optional("end_session_endpoint"),
        optional("revocation_endpoint"),
        tuple(map(str, methods)) if isinstance(methods, list) and methods else (_BASIC,),
        metadata.get("authorization_response_iss_parameter_supported") is True,
    )


def loader_of(issuer: str, url: str | None, options: FetchOptions, algorithms: Sequence[str]) -> Load[Provider]:
    """Return a loader of a provider.

    :param url: where its metadata is, if not at the well-known place.
    """
    client = Client(options)
    reader = Reader(partial(from_jwks, algorithms=algorithms, secrets_allowed=False))

    async def load() -> Loaded[Provider]:
        metadata, place = await fetch_metadata(client, issuer, url)
        keys_url = endpoint_of(metadata, "jwks_uri", place, allow_http=options.allow_http)
        data, cache_control = await client.fetch(keys_url)
        keys = await reader(data, shown_url(keys_url))
        provider = provider_of(metadata, keys, place, allow_http=options.allow_http)
        return Loaded(provider, lifetime_of(cache_control, terms_of(options)), keys.unusable)

    return load


class ProviderDocument:
    """A provider as it is now; shared by the bindings that name it."""

    def __init__(
        self, issuer: str, url: str | None, options: FetchOptions, algorithms: Sequence[str], context: PluginContext
    ) -> None:
        self._name = url or issuer
        self._load = loader_of(issuer, url, options, algorithms)
        self._options = options
        self._key = ("oidc", issuer, tuple(sorted(algorithms)))
        self._context = context
        self._document: Document[Provider] | None = None

    async def start(self) -> None:
        """Load it; a provider that is away now is waited for by those who log in."""
        key = (self._key, await asyncio.to_thread(self._options.identity))
        self._document = acquire(self._name, key, self._load, terms_of(self._options), self._context)
        await self._document.start()

    async def stop(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            await release(document)

    def current(self) -> Provider | None:
        """Return the provider, or None if it was never reached or not for long."""
        return self._document.current() if self._document is not None else None

    def retry_after(self) -> float:
        """Return the seconds after which it may be there."""
        return self._document.retry_after() if self._document is not None else 1.0

    async def has_key_for(self, token: Token, client: str) -> Provider | None:
        """Return the provider once it has a token's key, with one look whether its keys became others.

        It is None also if the key may exist all the same, since the provider's keys cannot be read now.
        """
        document, found = self._document, self.current()
        if document is None or (found is not None and found.keys.has_key_for(token)):
            return found
        if document.may_ask(client):
            await document.refetch(client)
            found = document.current()
        is_unknown = found is None or (document.is_unsure and not found.keys.has_key_for(token))
        return None if is_unknown else found

    @property
    def generation(self) -> Any:
        """Another object whenever the provider became another."""
        return self._document.generation if self._document is not None else None
