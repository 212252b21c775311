"""The application as browsers reach it: its hosts, its origins, and what cookies are bound to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import Request
from gateway_tokens.texts import many

from gateway_plugin_oidc.browser import authority_of, origin_of
from gateway_plugin_oidc.config import OidcConfig


class Site:
    """Everything comes from the configuration: what a request calls itself (Host) only chooses among that."""

    def __init__(self, config: OidcConfig) -> None:
        uris = many(config.redirect_uri)
        self._domain = config.cookie.domain
        self._scheme = "https" if config.is_secure else "http"
        self._redirect_uris = {authority_of(urlsplit(uri).netloc, self._scheme): uri for uri in uris}
        self.origins: Final = frozenset((*map(origin_of, uris), *config.trusted_origins))
        """Origins whose pages may send requests with a session."""

    def authority(self, request: Request) -> str:
        """Return the host that a request is for, as it is compared."""
        return authority_of(request.host, self._scheme)

    def bound_host(self, request: Request) -> str:
        """Return what cookies are bound to: the host, or the domain that shares them."""
        return self._domain or self.authority(request)

    def is_ours(self, request: Request) -> bool:
        """Return whether a request is for a host of the application."""
        return self.authority(request) in self._redirect_uris or self._is_in_domain(request)

    def _is_in_domain(self, request: Request) -> bool:
        host = self.authority(request).partition(":")[0]
        return self._domain is not None and (host == self._domain or host.endswith(f".{self._domain}"))

    def redirect_uri(self, request: Request) -> str | None:
        """Return the redirect_uri of a request's host; another host's if both share cookies."""
        own = self._redirect_uris.get(self.authority(request))
        if own is None and self._is_in_domain(request):
            return next(iter(self._redirect_uris.values()))
        return own

    def has_own(self, request: Request) -> bool:
        """Return whether the host of a request has a redirect_uri of its own."""
        return self.authority(request) in self._redirect_uris

    def callback(self, request: Request) -> str | None:
        """Return the redirect_uri that a request is for, or None if it is for none."""
        uri = self._redirect_uris.get(self.authority(request))
        return uri if uri is not None and (urlsplit(uri).path or "/") == request.path else None

    def origin(self, request: Request) -> str:
        """Return the origin of one of our hosts: that of the request, if it is one."""
        return origin_of(self.redirect_uri(request) or next(iter(self._redirect_uris.values())))
