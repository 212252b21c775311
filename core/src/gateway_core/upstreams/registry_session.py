"""The HTTP client for registries and other services that the gateway itself depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway_core.upstreams.resolver import Resolver

if TYPE_CHECKING:
    import aiohttp


class RegistrySession:
    """Makes one session when it is first needed: no cookies, no kept connections, nothing decoded."""

    __slots__ = ("_resolver", "_session")

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
        """Return the session, which its users do not close."""
        if self._session is None or self._session.closed:
            # Gateways without registries do without the memory of aiohttp.
            import aiohttp  # noqa: PLC0415

            from gateway_core.upstreams.aiohttp_resolver import AiohttpResolver  # noqa: PLC0415

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
