"""The logout: by the user (OpenID Connect RP-Initiated Logout) and by the provider (Back-Channel Logout)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway_plugin_sdk import BodyTooLargeError, Clock, Request, Response

from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.endpoints import Endpoints, ProviderAwayError
from gateway_plugin_oidc.id_tokens import Expected, RefusedTokenError, check_logout_token, check_signature, read_token
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.sessions import Sessions

_LONGEST_FORM: Final = 65536
_JTI_LIFETIME: Final = 600.0
_NO_STORE: Final = (("Cache-Control", "no-store"),)

EndAll = Callable[[str, str, str], Awaitable[None]]
"""Ends the sessions of an issuer's subject or session (issuer, subject, sid), in every worker."""


class Logouts:
    """Ends sessions of a binding."""

    def __init__(
        self,
        config: OidcConfig,
        provider: ProviderDocument,
        endpoints: Endpoints,
        expected: Expected,
        sessions: Sessions,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._config = config
        self._provider = provider
        self._endpoints = endpoints
        self._expected = expected
        self._sessions = sessions
        self._clock = clock
        self._log = log

    def location(self, session: Session | None, origin: str) -> str:
        """Return where the browser goes after its session ended here: to the provider, to end there too.

        :param origin: of the application.
        """
        back = self._config.post_logout_redirect_uri or f"{origin}/"
        provider = self._provider.current()
        endpoint = self._config.end_session_endpoint or (provider.end_session_endpoint if provider is not None else "")
        if not endpoint:
            return back
        query = {"client_id": self._config.client_id, "post_logout_redirect_uri": back}
        if session is not None and session.id_token:
            query["id_token_hint"] = session.id_token
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    async def revoke(self, session: Session) -> None:
        """Have the provider end the session's refresh token; a provider that is away ends it by itself, later."""
        provider = self._provider.current()
        if provider is not None:
            try:
                await self._endpoints.revoke(provider, session.refresh_token)
            except ProviderAwayError as error:
                self._log.warning("cannot revoke a refresh token: %s", error)

    async def by_provider(self, request: Request, end_all: EndAll) -> Response:
        """Take a logout token, and respond as the provider expects it (Back-Channel Logout sections 2.5 to 2.8).

        :raises GatewayError: the store does not respond.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or kind != "application/x-www-form-urlencoded":
            return self._refused("not-a-form")
        try:
            form = parse_qsl((await request.read(_LONGEST_FORM)).decode("ascii"), max_num_fields=20)
        except (BodyTooLargeError, ValueError):
            return self._refused("not-a-form")
        texts = [value for name, value in form if name == "logout_token"]
        if len(texts) != 1:
            return self._refused("token-missing")
        try:
            token = read_token(texts[0])
            subject, sid = check_logout_token(token, self._expected, self._clock.wall())
            provider = await self._provider.has_key_for(token, request.client_ip)
            if provider is None:
                return Response(503, headers=[("Retry-After", "5"), *_NO_STORE])
            check_signature(token, provider.keys)
        except RefusedTokenError as error:
            return self._refused(error.code)
        issuer = token.claims["iss"]
        name = f"{issuer}|{token.claims['jti']}"
        if await self._sessions.was_used(name):
            return self._refused("token-replayed")
        await end_all(issuer, subject, sid)
        # Only now: if the sessions could not be ended, the provider may send the same token again.
        left = token.claims.get("exp", 0.0) + self._expected.leeway - self._clock.wall()
        await self._sessions.use_once(name, max(_JTI_LIFETIME + 2 * self._expected.leeway, left))
        return Response(200, headers=_NO_STORE)

    def _refused(self, code: str) -> Response:
        self._log.warning("a logout token is refused: %s", code)
        return Response.json({"error": "invalid_request"}, 400, _NO_STORE)
