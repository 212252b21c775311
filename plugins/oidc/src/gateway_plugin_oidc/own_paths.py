"""The paths that the plugin has itself: callback, login, logout, and the provider's logout."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from gateway_plugin_sdk import GatewayError, Request, Response
from gateway_tokens.texts import many

from gateway_plugin_oidc.attempt import safe_return
from gateway_plugin_oidc.browser import is_navigation, may_log_out, origin_of
from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.cookies import CookieWriter, OwnCookies, cookie_field, read_cookies
from gateway_plugin_oidc.logins import Logins, Redirect, Stale
from gateway_plugin_oidc.logouts import Logouts
from gateway_plugin_oidc.refusals import Refusal, Refusals, away, redirect, set_cookies
from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.sessions import NO_SESSION, Entry, Sessions
from gateway_plugin_oidc.site import Site

Handler = Callable[[Request, str], Awaitable[Response]]


class Effects(Protocol):
    """What reaches beyond this worker and this request."""

    async def end(self, session_id: str) -> None:
        """End a session in every worker."""
        ...

    async def end_all(self, issuer: str, subject: str, sid: str) -> None:
        """End the sessions of a user, or one by the provider's name of it, in every worker."""
        ...

    def revoke(self, session: Session) -> None:
        """Have the provider end the refresh token of a session, in the background."""
        ...

    def logged_in(self, request: Request) -> None:
        """Count a login."""
        ...


class OwnPaths:
    """Responds to the requests for the plugin's own paths."""

    def __init__(
        self,
        config: OidcConfig,
        site: Site,
        writer: CookieWriter,
        sessions: Sessions,
        logins: Logins,
        logouts: Logouts,
        refusals: Refusals,
        effects: Effects,
        log: logging.Logger,
    ) -> None:
        self._config = config
        self._site = site
        self._writer = writer
        self._sessions = sessions
        self._logins = logins
        self._logouts = logouts
        self._refusals = refusals
        self._effects = effects
        self._log = log
        self._handlers: dict[str, Handler] = {}
        for path, handler in (
            *((urlsplit(uri).path or "/", self._callback) for uri in many(config.redirect_uri)),
            (config.login_path, self._login),
            (config.logout_path, self._logout),
            (config.backchannel_logout_path, self._backchannel),
        ):
            if path is not None:
                self._handlers[path] = handler

    def respond(self, request: Request) -> Awaitable[Response | None] | None:
        """Return the response to a request for a path of our own; None for any other."""
        handler = self._handlers.get(request.path)
        if handler is None:
            return None
        # The provider calls us by a name that need not be the users'.
        is_backchannel = request.path == self._config.backchannel_logout_path
        return self._handled(handler, request) if is_backchannel or self._site.is_ours(request) else None

    def to_provider(
        self, request: Request, target: str, cookies: OwnCookies, *, is_restart: bool = False, ended: bool = False
    ) -> Response:
        """Return the redirect to the provider.

        :param target: where to go on after the login.
        :param ended: whether the session that the browser has is over, so that its cookies go.
        """
        uri = self._site.redirect_uri(request)
        if uri is None:
            return self._refusals.refuse(request, Refusal(401, "host-unknown"))
        back = target if self._site.has_own(request) else "/"
        begun = self._logins.begin(uri, back, self._site.bound_host(request), cookies, is_restart=is_restart)
        if isinstance(begun, Refusal):
            return self._refusals.refuse(request, begun)
        removed = self._writer.removed(cookies.session_names(self._writer.base)) if ended else []
        return redirect(begun.location, [*begun.cookies, *removed])

    async def _handled(self, handler: Handler, request: Request) -> Response:
        query = request.query_string
        request.forget_query()  # codes, states and hints must not be kept in logs
        try:
            return await handler(request, query)
        except GatewayError as error:
            self._log.warning("%s of %s: %s", handler.__name__.strip("_"), request.request_id, error)
            return self._refusals.refuse(request, away("store-away"))

    async def _callback(self, request: Request, query: str) -> Response:
        if request.method != "GET":
            return self._refusals.refuse(request, Refusal(400, "callback-malformed"))
        cookies = read_cookies(cookie_field(request), self._writer.base)
        host = self._site.bound_host(request)
        uri = self._site.callback(request)
        if uri is None:
            return self._refusals.refuse(request, Refusal(400, "callback-malformed"))
        finished = await self._logins.finish(request, query, uri, host, cookies)
        if isinstance(finished, Refusal):
            return self._refusals.refuse(request, finished)
        if isinstance(finished, Stale):
            return await self._stale(request, finished, cookies)
        session, way_back = finished
        for before in self._sessions.ids_of(cookies, host):
            await self._effects.end(before)
        self._effects.logged_in(request)
        self._log.info("session %s began", session.id[:6])
        return self._back(origin_of(uri), way_back)

    async def _stale(self, request: Request, stale: Stale, cookies: OwnCookies) -> Response:
        self._log.info("a callback cannot be used: %s", stale.reason)
        entry = await self._sessions.find(cookies, self._site.bound_host(request))
        if isinstance(entry, Entry):
            return self._back(self._site.origin(request), Redirect(stale.return_to))
        if stale.was_restart or not is_navigation(request):
            return self._refusals.refuse(request, Refusal(400, stale.reason))
        return self.to_provider(request, stale.return_to, cookies, is_restart=True)

    def _back(self, origin: str, way_back: Redirect) -> Response:
        """Return the way back into the application.

        A browser sends no Strict cookie along a chain of redirects that began at another site, so there the page does
        the last step.
        """
        location = f"{origin}{way_back.location}"
        if self._config.cookie.same_site != "strict":
            return redirect(location, way_back.cookies, 303)
        target = location.replace("&", "&amp;")  # it has no other character of HTML, see `safe_return`
        page = f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><title>Logged in</title>'
        response = Response(
            200, page, [("Content-Type", "text/html; charset=utf-8"), ("Referrer-Policy", "no-referrer")]
        )
        set_cookies(response, way_back.cookies)
        return response

    async def _login(self, request: Request, query: str) -> Response:
        cookies = read_cookies(cookie_field(request), self._writer.base)
        wanted = [value for name, value in parse_qsl(query)[:50] if name == "return_to"]
        target = safe_return(wanted[0]) if len(wanted) == 1 else "/"
        if not is_navigation(request):
            return self._refusals.refuse(request, NO_SESSION)
        return self.to_provider(request, target, cookies)

    async def _logout(self, request: Request, query: str) -> Response:  # noqa: ARG002  # of the handlers
        if not may_log_out(request, self._site.origins):
            return self._refusals.refuse(request, Refusal(403, "cross-site"))
        cookies = read_cookies(cookie_field(request), self._writer.base)
        found = await self._sessions.find(cookies, self._site.bound_host(request))
        session = found.session if isinstance(found, Entry) else None
        # Also those that are refused, such as two at once: a copy of one of them would still be one.
        for each in self._sessions.ids_of(cookies, self._site.bound_host(request)):
            await self._effects.end(each)
        if session is not None and session.refresh_token:
            self._effects.revoke(session)
        location = self._logouts.location(session, self._site.origin(request))
        return redirect(location, self._writer.removed(cookies.values), 303)

    async def _backchannel(self, request: Request, query: str) -> Response:  # noqa: ARG002  # of the handlers
        return await self._logouts.by_provider(request, self._effects.end_all)
