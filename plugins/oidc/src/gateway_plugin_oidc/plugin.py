"""The oidc plugin.

A request is judged in this order: paths of our own (callback, login, logout), a token in Authorization if those are
accepted, the session's cookie. What a request with a cookie that was seen before costs is one look-up by its whole
Cookie field: what the field stands for, and what of it goes upstream, is remembered together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Final

from gateway_plugin_sdk import (
    CommandError,
    ConfigFinding,
    FieldBlock,
    GatewayError,
    Plugin,
    PluginContext,
    Request,
    Response,
    client_network,
    command,
    hookimpl,
)
from gateway_plugin_sdk.valkey import ValkeyValues, Values
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.forwarding import field_readers
from gateway_tokens.loaders import Client
from gateway_tokens.texts import many

from gateway_plugin_oidc.bearer import Bearers, Caller
from gateway_plugin_oidc.browser import is_navigation, may_use_cookie
from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.cookies import CookieWriter, OwnCookies, cookie_field, read_cookies
from gateway_plugin_oidc.endpoints import Assertions, Endpoints
from gateway_plugin_oidc.findings import findings, findings_together
from gateway_plugin_oidc.id_tokens import expected_of
from gateway_plugin_oidc.logins import Logins
from gateway_plugin_oidc.logouts import Logouts
from gateway_plugin_oidc.own_paths import OwnPaths
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.refusals import Refusal, Refusals, away, route_of, set_cookies
from gateway_plugin_oidc.renewal import Renewals
from gateway_plugin_oidc.sealing import Sealer
from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.sessions import NO_SESSION, Entry, Sessions, lifetime_of_ends
from gateway_plugin_oidc.site import Site
from gateway_plugin_oidc.streams import Streams, may_last

_NO_COOKIES: Final = OwnCookies({}, "")
_SEEN: Final = 10_000


class Oidc(Plugin[OidcConfig]):
    """Let users log in at an OpenID provider, and keep their sessions.

    Sets ``request.identity``; its subject is issuer and ``sub``, joined by ``|``. What is refused gets 400, 401, 403 or
    503 without saying why: the reason is in ``request.state["oidc.refusal"]``, in the log, and in
    ``gateway_oidc_refusals_total``.
    """

    name = "oidc"
    config_model = OidcConfig
    default_on_error = "deny"
    provides = frozenset({"identity"})
    checks_repeated_bindings = True

    def __init__(self, config: OidcConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        cookie = config.cookie
        self._writer = CookieWriter(
            cookie.name, secure=config.is_secure, domain=cookie.domain, same_site=cookie.same_site
        )
        self.own_cookies = frozenset({self._writer.base})
        self._site = Site(config)
        self._expected = expected_of(config.issuer, config.tenants, config.client_id, config.leeway)
        url = config.discovery_url.reveal() if config.discovery_url is not None else None
        self._provider = ProviderDocument(config.issuer, url, config.fetch, config.algorithms, context)
        own_headers = (config.access_token_header, config.id_token_header)
        self.credential_headers = frozenset(name for name in own_headers if name is not None)
        self._reserved = (*config.claims_to_headers, *self.credential_headers)
        self.reserved_headers = frozenset(name for name in self._reserved if name.lower() != "authorization")
        if context.route is not None:
            self.idle_hooks = frozenset({"gateway_request"})
        # Another binding of the plugin may serve the same request, with another session.
        place = f"{context.route or ''}:{context.binding}"
        self._entry_key, self._set_key = f"oidc.session:{place}", f"oidc.set-cookie:{place}"
        self._streams = Streams()
        self._ends_changed = asyncio.Event()
        self._seen: VerifiedCache[tuple[Entry, FieldBlock, str]] = VerifiedCache(_SEEN)
        self._is_of_route = context.route is not None
        self._takes_bearer = config.bearer is not None
        self._refusals = Refusals(context, config.realm, takes_bearer=self._takes_bearer)
        self._logins_total = self.metrics.counter(
            "gateway_oidc_logins_total", "Logins that were completed.", ["binding", "route"]
        )

    @classmethod
    def check_config(cls, config: OidcConfig) -> Iterator[ConfigFinding]:
        """Look at the files that the configuration names, and warn of what sealed cookies cannot do alone."""
        return findings(config)

    @classmethod
    def check_bindings(cls, bindings: Sequence[tuple[str, OidcConfig]]) -> Iterator[tuple[int, ConfigFinding]]:
        """Warn of bindings that share a redirect_uri or a cookie."""
        return findings_together(bindings)

    async def start(self) -> None:
        """Read keys and secret, and ask the provider for its metadata; it may be away."""
        config, clock, log = self.config, self.clock, self.log
        keys = await asyncio.to_thread(config.key_texts)
        secret = await asyncio.to_thread(config.client_secret_text)
        self._sealer = Sealer(keys, (self.context.binding, f"{config.issuer}|{config.client_id}"))
        self._valkey = ValkeyValues(config.valkey) if config.valkey is not None else None
        values: Values = self._valkey if self._valkey is not None else self.shared
        if self._valkey is not None:
            await self._valkey.start()
        assertions = await asyncio.to_thread(self._assertions) if config.client_key is not None else None
        endpoints = Endpoints(Client(config.fetch), config.client_id, secret, config.client_auth, assertions)
        self._renewals = Renewals(
            endpoints, self._provider, self._expected, self._sealer, values, clock=clock, log=log, spawn=self.spawn,
            refresh_before=config.session.refresh_before, longest=lifetime_of_ends(config.session.max_age),
            wait=2 * config.fetch.timeout + 5,
        )  # fmt: skip
        readers = field_readers(config.claims_to_headers)
        self._sessions = Sessions(config, self._sealer, values, self._writer, self._renewals, clock, readers)
        self._logins = Logins(
            config, self._sealer, self._provider, endpoints, self._expected, self._sessions, self._writer, clock, log
        )
        self._logouts = Logouts(config, self._provider, endpoints, self._expected, self._sessions, clock, log)
        self._own_paths = OwnPaths(
            config, self._site, self._writer, self._sessions, self._logins, self._logouts, self._refusals, self, log
        )
        audiences = many(config.bearer.audience) if config.bearer is not None else ()
        self._bearers = Bearers(
            self._provider,
            self._expected,
            audiences,
            clock,
            trust_unverified_email=config.trust_unverified_email,
            fields=self._sessions.fields,
        )
        await self._provider.start()
        self.spawn(self._watch_streams())

    def _assertions(self) -> Assertions:
        """Return what signs for our client key. Blocks.

        :raises ValueError: the key cannot be used; `OSError` if it cannot be read.
        """
        from gateway_tokens.client_key import ClientKey  # noqa: PLC0415 - only where a key is configured

        options, issuer = self.config.client_key, self.config.issuer
        assert options is not None, "it is configured"
        key = ClientKey(options, self.config.client_id, self.clock.wall)
        is_for_issuer = options.audience == "issuer"
        return lambda provider: key.fields(issuer if is_for_issuer else provider.token_endpoint)

    async def stop(self) -> None:
        """End what `start` began."""
        await self._provider.stop()
        if self._valkey is not None:
            await self._valkey.stop()

    # -- hooks

    @hookimpl
    def gateway_request(self, request: Request) -> Awaitable[Response | None] | None:
        """Respond to callbacks, logins and logouts, whatever the routes are."""
        return self._own_paths.respond(request)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Let requests with a session go on, and send others to log in."""
        if self._is_of_route and (own := self._own_paths.respond(request)) is not None:
            return own
        if self._takes_bearer:
            scheme, _, text = (request.authorization or "").partition(" ")
            if scheme.lower() == "bearer":
                return self._with_bearer(request, text.strip())
        headers = request.headers
        raw = headers.get_bytes("cookie")
        if raw is None:
            return self._stranger(request, NO_SESSION, _NO_COOKIES)
        seen = self._seen.get(raw)
        if seen is not None:
            entry, rest, host = seen
            if (
                host == request.host
                and self.clock.wall() < entry.look_at
                and entry.generation == self._sessions.generation
                and may_use_cookie(request, self._site.origins)
                and headers.replace_only("cookie", rest)  # several Cookie fields may have another session
            ):
                self._admit(request, entry)
                return None
        return self._with_cookies(request, cookie_field(request))

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Awaitable[None] | None:
        """Set the cookie of a session that changed, and remember responses that last."""
        state = request.state
        entry = state.get(self._entry_key)
        if entry is None:
            return None
        if entry.flight is not None:
            return self._with_renewed(request, response, entry)
        if self._set_key in state or may_last(response):
            self._finish(request, response, entry)
        return None

    async def _with_renewed(self, request: Request, response: Response, entry: Entry) -> None:
        """Set the cookie of a session that was renewed while the upstream responded.

        Later that is impossible: if the user is away for a while, the old cookie has a refresh token that is used up.
        """
        try:
            text = await self._sessions.renewed(entry)
        except GatewayError as error:
            self.log.warning("a session cannot be kept: %s", error)
            text = ""
        if text:
            cookies = read_cookies("; ".join(request.received.headers.get_all("cookie")), self._writer.base)
            request.state[self._set_key] = self._writer.session(text, self._sessions.max_age_of(entry.session), cookies)
        self._finish(request, response, entry)

    def _finish(self, request: Request, response: Response, entry: Entry) -> None:
        state = request.state
        cookies = state.get(self._set_key)
        if cookies:
            set_cookies(response, cookies)
        if may_last(response):
            self._streams.add(entry.session, request)

    # -- sessions

    async def _with_cookies(self, request: Request, field: str) -> Response | None:
        cookies = read_cookies(field, self._writer.base)
        if not cookies.values:
            return self._stranger(request, NO_SESSION, cookies)
        try:
            found = await self._sessions.find(cookies, self._site.bound_host(request))
        except GatewayError as error:
            self.log.warning("a session cannot be looked up: %s", error)
            return self._refusals.refuse(request, away("store-away"))
        if isinstance(found, Refusal):
            return self._stranger(request, found, cookies)
        if not may_use_cookie(request, self._site.origins):
            return self._stranger(request, Refusal(403, "cross-site"), cookies)
        if found.text:
            age = self._sessions.max_age_of(found.session)
            request.state[self._set_key] = self._writer.session(found.text, age, cookies)
        elif not cookies.attempts(self._writer.base):
            key = field.encode("latin-1")
            rest = FieldBlock([("Cookie", cookies.rest)] if cookies.rest else ())
            self._seen.put(key, (found, rest, request.host), 200 + 2 * len(key))
        self._replace_cookies(request, cookies.rest)
        self._admit(request, found)
        return None

    def _admit(self, request: Request, entry: Entry) -> None:
        if self._reserved:
            self._remove_reserved(request)
        if entry.fields is not None:
            request.headers.extend(entry.fields)
        request.identity = entry.identity
        request.state[self._entry_key] = entry

    def _strip(self, request: Request, rest: str) -> None:
        """Remove our cookies, and fields that only this plugin may send upstream."""
        self._replace_cookies(request, rest)
        self._remove_reserved(request)

    def _replace_cookies(self, request: Request, rest: str) -> None:
        if rest:
            request.headers["Cookie"] = rest
        else:
            request.headers.remove("cookie")

    def _remove_reserved(self, request: Request) -> None:
        for name in self._reserved:
            request.headers.remove(name)

    async def _with_bearer(self, request: Request, text: str) -> Response | None:
        caller: Caller | Refusal | None = self._bearers.known(text)
        if caller is None:
            caller = await self._bearers.check(text, client_network(request.client_ip))
        if isinstance(caller, Refusal):
            return self._refusals.refuse(request, caller)
        field = cookie_field(request)
        self._strip(request, read_cookies(field, self._writer.base).rest if field else "")
        request.headers.extend(caller.fields)
        request.identity = caller.identity
        return None

    def _stranger(self, request: Request, refusal: Refusal, cookies: OwnCookies) -> Response | None:
        """Respond to a request without a session: a login for people, a status for programs."""
        mode = self.config.unauthenticated
        if mode == "pass" and refusal.status in {401, 403}:
            self._strip(request, cookies.rest or ("" if cookies.values else cookie_field(request)))
            return None
        if mode == "login" and refusal.status == 401 and is_navigation(request):
            target = request.raw_path + (f"?{request.query_string}" if request.query_string else "")
            return self._own_paths.to_provider(request, target, cookies, ended=refusal is not NO_SESSION)
        response = self._refusals.refuse(request, refusal)
        # Of two sessions none is removed: what is left could be one that another site planted under a longer path.
        if refusal.status == 401 and refusal is not NO_SESSION:
            set_cookies(response, self._writer.removed(cookies.session_names(self._writer.base)))
        return response

    # -- ends

    @command(role="operator")
    async def end_sessions(self, subject: str = "", sid: str = "", issuer: str = "") -> str:
        """End every session of a user (``sub``), or one by the provider's name of it (``sid``)."""
        if not subject and not sid:
            return "nothing ended: give subject or sid"
        for each in (issuer,) if issuer else self._expected.issuers:
            await self._sessions.end_all_of(each, subject, sid)
        self._ends_changed.set()
        return "ended"

    @command(role="operator")
    async def look_again(self) -> None:
        """Look again at every session that is remembered: one was ended."""
        self._sessions.generation += 1
        self._ends_changed.set()

    async def end(self, session_id: str) -> None:
        """End a session in every worker."""
        await self._sessions.end(session_id)
        await self._tell("look_again")

    async def end_all(self, issuer: str, subject: str, sid: str) -> None:
        """End the sessions of a user, or one by the provider's name of it, in every worker."""
        await self._sessions.end_all_of(issuer, subject, sid)
        await self._tell("look_again")

    def revoke(self, session: Session) -> None:
        """Have the provider end the refresh token of a session, in the background."""
        self.spawn(self._logouts.revoke(session))

    def logged_in(self, request: Request) -> None:
        """Count a login."""
        self._logins_total.labels(self.context.binding, route_of(request, self.context)).inc()

    async def _tell(self, what: str) -> None:
        try:
            await self.everywhere(what)
        except CommandError as error:
            self.log.warning("a worker was not notified of the end of a session: %s", error)
            await self.look_again()

    async def _watch_streams(self) -> None:
        while True:
            self._ends_changed.clear()
            try:
                await self._streams.end_those(self._sessions.is_gone)
            except GatewayError as error:
                self.log.warning("streams cannot be looked at: %s", error)
            try:
                async with asyncio.timeout(self.config.session.recheck):
                    await self._ends_changed.wait()
            except TimeoutError:
                continue
