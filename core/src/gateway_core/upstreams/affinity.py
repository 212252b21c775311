"""What ties a request to an endpoint or a target: a part of the request that is hashed, or a cookie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol
from urllib.parse import parse_qsl

from gateway_core.config import StickyCookieConfig
from gateway_core.messages import Request
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import NO_CANDIDATES, Candidates

KeyFunction = Callable[[Request], str | None]


def compile_hash_key(hash_on: Sequence[str]) -> KeyFunction | None:
    """Return the function that finds a request's key, or None for an empty ``hash_on``.

    The key is the first of the sources that the request has, with a value; None if it has none of them.

    :param hash_on: ``client_ip``, ``header:NAME``, ``cookie:NAME``, ``query:NAME`` or ``param:NAME``, one or several.
    :raises ValueError: for anything else, quoting it.
    """
    if not hash_on:
        return None
    functions = [_compile_source(source) for source in hash_on]
    if len(functions) == 1:
        return functions[0]
    return lambda request: next((key for function in functions if (key := function(request))), None)


def _compile_source(source: str) -> KeyFunction:
    kind, _, name = source.partition(":")
    if source == "client_ip":
        return _client_ip
    make = _BY_KIND.get(kind)
    if make is None or not name:
        raise ValueError(f"{source!r} is not client_ip, header:NAME, cookie:NAME, query:NAME or param:NAME")
    return make(name)


def _client_ip(request: Request) -> str | None:
    return request.client_ip or None


def _header(name: str) -> KeyFunction:
    return lambda request: request.headers.get(name) or None


def _cookie(name: str) -> KeyFunction:
    return lambda request: request.cookie(name) or None


def _param(name: str) -> KeyFunction:
    return lambda request: request.path_params.get(name) or None


def _query(name: str) -> KeyFunction:
    def key(request: Request) -> str | None:
        # The first of several, as most frameworks read it; capped, because the client decides how many there are.
        pairs = parse_qsl(request.query_string[:8192], keep_blank_values=True) if request.query_string else ()
        return next((value for found, value in pairs if found == name and value), None)

    return key


_BY_KIND: dict[str, Callable[[str], KeyFunction]] = {
    "header": _header,
    "cookie": _cookie,
    "query": _query,
    "param": _param,
}


class Identified(Protocol):
    """Something that a cookie may name."""

    @property
    def id(self) -> str: ...


class StickyCookie:
    """Names endpoints in cookies by keyed hashes that reveal nothing about them to the client.

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

    def cookie_of(self, request: Request) -> str | None:
        """Return the cookie of a request; None if it has none.

        It is the gateway's own, so it also counts where a plugin keeps the client's cookies from the upstream.
        """
        cookie = request.cookie(self.name)
        return request.received.cookie(self.name) if cookie is None else cookie

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
