"""Keep a client on one endpoint by a cookie."""

from __future__ import annotations

from hashlib import blake2b
from typing import Protocol

from gateway_core.config import StickyCookieConfig
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import NO_CANDIDATES, Candidates


class Identified(Protocol):
    """Something that a cookie may name."""

    @property
    def id(self) -> str: ...


class StickyCookie:
    """Names endpoints in cookies by keyed hashes that tell the client nothing about them.

    Wraps any strategy: the strategy chooses for clients without a cookie, and for those whose endpoint is not usable
    at the moment. The latter get a new cookie.
    """

    __slots__ = ("_attributes", "_by_token", "_secret", "_seen", "name")

    def __init__(self, settings: StickyCookieConfig, secret: bytes) -> None:
        """Make the names.

        :param secret: what all workers and gateways of one cluster share; with it one can work out which endpoint a
            cookie names.
        """
        self.name = settings.name
        self._secret = blake2b(secret).digest()
        self._attributes = _attributes(settings)
        self._seen = NO_CANDIDATES
        self._by_token: dict[str, Endpoint] = {}

    def endpoint_for(self, cookie: str, usable: Candidates) -> Endpoint | None:
        """Return the endpoint that a cookie names, if it is usable."""
        if usable is not self._seen:
            self._seen = usable
            self._by_token = {self.token(endpoint): endpoint for endpoint in usable.endpoints}
        return self._by_token.get(cookie)

    def token(self, endpoint: Identified) -> str:
        """Return the name of an endpoint, or of a target of a route: 32 hexadecimal digits."""
        return blake2b(endpoint.id.encode(), digest_size=16, key=self._secret).hexdigest()

    def set_cookie(self, endpoint: Identified, cookie: str | None) -> str | None:
        """Return the Set-Cookie value that binds a client to the endpoint that responded to it.

        :param cookie: the cookie that the client sent; None if it sent none.
        :returns: None if the client has that cookie already.
        """
        token = self.token(endpoint)
        return None if token == cookie else f"{self.name}={token}{self._attributes}"


def _attributes(settings: StickyCookieConfig) -> str:
    """Return what follows the value (RFC 6265 section 4.1)."""
    parts = [f"Path={settings.path}"]
    if settings.max_age > 0:
        parts.append(f"Max-Age={int(settings.max_age)}")
    # Browsers refuse SameSite=None without Secure.
    if settings.secure or settings.same_site == "none":
        parts.append("Secure")
    if settings.http_only:
        parts.append("HttpOnly")
    if settings.same_site is not None:
        parts.append(f"SameSite={settings.same_site.capitalize()}")
    return "".join(f"; {part}" for part in parts)
