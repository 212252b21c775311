"""The HTTP client for registries and other services that the gateway itself depends on."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway_core.upstreams.resolver import Resolver


class AiohttpResolver(AbstractResolver):
    """The resolver for aiohttp's clients: ``TCPConnector(resolver=..., use_dns_cache=False)``."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses in aiohttp's form.

        :raises OSError: if there are none.
        """
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in await self._resolver.resolve(host, port)
            if family in {socket.AF_UNSPEC, found}
        ]

    async def close(self) -> None:
        """Nothing is held."""


class RegistrySession:
    """Makes one session when it is first needed: no cookies, no kept connections, nothing decoded."""

    __slots__ = ("_resolver", "_session")

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
        """Return the session, which its users do not close."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, resolver=AiohttpResolver(self._resolver), use_dns_cache=False
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def aclose(self) -> None:
        """Close it; the next use makes another."""
        if self._session is not None:
            await self._session.close()
