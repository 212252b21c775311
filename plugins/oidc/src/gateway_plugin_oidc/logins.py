"""The login: to the provider and back (OpenID Connect Core section 3.1, RFC 7636, RFC 9207, RFC 9700).

An attempt is sealed into a cookie of its own, whose name comes from the ``state``. What comes back is believed only
with that cookie, once. A callback that cannot be used (its cookie is gone or used, its code is old) is the fate of
people who press the back button: if they have a session, they go on; else the login begins again, once.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway_plugin_sdk import Clock, Request
from gateway_tokens.jws import Token

from gateway_plugin_oidc.attempt import (
    ATTEMPT_LIFETIME,
    MOST_ATTEMPTS,
    Attempt,
    attempt_id,
    safe_return,
    was_restart,
)
from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.cookies import CookieWriter, OwnCookies, attempt_name
from gateway_plugin_oidc.endpoints import Endpoints, ProviderAwayError, TokensRefusedError, shown_error
from gateway_plugin_oidc.id_tokens import (
    TENANT,
    Expected,
    RefusedTokenError,
    check_id_token,
    check_signature,
    read_token,
)
from gateway_plugin_oidc.provider import Provider, ProviderDocument
from gateway_plugin_oidc.refusals import Refusal, away
from gateway_plugin_oidc.sealing import Sealer, as_text, from_text
from gateway_plugin_oidc.session import Session, Tokens
from gateway_plugin_oidc.sessions import Sessions

_PARAMETERS: Final = frozenset({"state", "code", "iss", "error"})
_MOST_REFUSED: Final = 1000
_PROVIDER_ERRORS: Final = {"temporarily_unavailable", "server_error"}


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the browser goes, with the cookies to set."""

    location: str
    cookies: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Stale:
    """A callback that cannot be used, without an error of the provider."""

    reason: str
    return_to: str = "/"
    was_restart: bool = False


class Logins:
    """Begins and finishes the logins of a binding."""

    def __init__(
        self,
        config: OidcConfig,
        sealer: Sealer,
        provider: ProviderDocument,
        endpoints: Endpoints,
        expected: Expected,
        sessions: Sessions,
        writer: CookieWriter,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._config = config
        self._sealer = sealer
        self._provider = provider
        self._endpoints = endpoints
        self._expected = expected
        self._sessions = sessions
        self._writer = writer
        self._clock = clock
        self._log = log
        self._refused: dict[str, None] = {}
        """Ids of the latest attempts whose code the provider refused."""

    # -- there

    def begin(
        self, redirect_uri: str, return_to: str, host: str, cookies: OwnCookies, *, is_restart: bool = False
    ) -> Redirect | Refusal:
        """Begin a login, and return where at the provider it goes on.

        :param host: what cookies are bound to.
        """
        provider = self._provider.current()
        if provider is None:
            return away("provider-away", self._provider.retry_after())
        config, now = self._config, self._clock.wall()
        attempt = Attempt.new(config.issuer, redirect_uri, safe_return(return_to), now, is_restart=is_restart)
        query = {
            **config.authorization_params,
            "response_type": "code",
            "client_id": config.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(config.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if config.login_max_age:
            query["max_age"] = str(int(config.login_max_age))
        endpoint = provider.authorization_endpoint
        location = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"
        sealed = as_text(self._sealer.seal(attempt.to_bytes(), "attempt", host))
        field_ = self._writer.attempt(attempt.id, sealed, ATTEMPT_LIFETIME)
        return Redirect(location, [field_, *self._writer.removed(self._too_many(cookies, host))])

    def _too_many(self, cookies: OwnCookies, host: str) -> Sequence[str]:
        """Return the names of attempts to forget: those that cannot be used, and the oldest ones."""
        now, ages = self._clock.wall(), []
        for name, values in cookies.attempts(self._writer.base).items():
            attempt = self._unsealed(values[0], host)
            usable = attempt is not None and not attempt.is_over(now)
            ages.append((attempt.began if attempt is not None and usable else 0.0, name, usable))
        kept = sorted((age for age in ages if age[2]), reverse=True)[: MOST_ATTEMPTS - 1]
        return [name for _, name, _ in ages if name not in {name for _, name, _ in kept}]

    def _unsealed(self, value: str, host: str) -> Attempt | None:
        data = self._sealer.unseal(from_text(value), "attempt", host)
        return Attempt.from_bytes(data) if data is not None else None

    # -- and back

    async def finish(
        self, request: Request, query: str, redirect_uri: str, host: str, cookies: OwnCookies
    ) -> tuple[Session, Redirect] | Stale | Refusal:
        """Take what the provider sent the browser back with.

        :param query: of the callback.
        :raises GatewayError: the store does not respond.
        """
        parameters = _parameters(query)
        if parameters is None or not parameters.get("state"):
            return Refusal(400, "callback-malformed")
        state = parameters["state"]
        attempt = self._attempt_of(state, host, cookies)
        if attempt is None:
            return Stale("attempt-unknown", was_restart=was_restart(state))
        stale_as = (attempt.return_to, attempt.is_restart)
        if attempt.is_over(self._clock.wall()):
            return Stale("attempt-expired", *stale_as)
        if attempt.issuer != self._config.issuer or attempt.redirect_uri != redirect_uri:
            return Refusal(400, "callback-mix-up")
        provider = self._provider.current()
        if provider is None:
            return away("provider-away", self._provider.retry_after())
        if (refusal := self._issuer_problem(parameters, provider)) is not None:
            return refusal
        # Before anything is kept: made-up callbacks must not fill the store.
        if "error" in parameters:
            return self._refused_by_provider(parameters["error"], stale_as)
        if not parameters.get("code"):
            return Refusal(400, "callback-malformed")
        if attempt.id in self._refused or not await self._sessions.use_once(state, ATTEMPT_LIFETIME):
            return Stale("callback-replayed", *stale_as)
        return await self._redeem(request, parameters["code"], attempt, provider, host, cookies)

    async def _forget(self, attempt: Attempt) -> None:
        """Keep nothing in the store of an attempt whose code the provider refused: anybody can make one up.

        The worker remembers it, so that one attempt does not make us ask the provider again and again.
        """
        await self._sessions.forget_use(attempt.state)
        self._refused[attempt.id] = None
        if len(self._refused) > _MOST_REFUSED:
            del self._refused[next(iter(self._refused))]

    def _attempt_of(self, state: str, host: str, cookies: OwnCookies) -> Attempt | None:
        name = attempt_name(self._writer.base, attempt_id(state))
        found = [self._unsealed(value, host) for value in cookies.values.get(name, ())]
        matching = [attempt for attempt in found if attempt is not None and attempt.is_of(state)]
        return matching[0] if len(matching) == 1 else None

    def _issuer_problem(self, parameters: Mapping[str, str], provider: Provider) -> Refusal | None:
        issuer = parameters.get("iss")
        if issuer is None:
            return Refusal(400, "callback-mix-up") if provider.sends_iss else None
        if issuer in self._expected.issuers or (issuer == self._config.issuer and TENANT in issuer):
            return None
        return Refusal(400, "callback-mix-up")

    def _refused_by_provider(self, error: str, stale_as: tuple[str, bool]) -> Stale | Refusal:
        self._log.info("the provider ended a login with %s", shown_error(error))
        if error in _PROVIDER_ERRORS:
            return away("provider-error")
        if error == "access_denied":
            return Refusal(403, "access-denied")
        if error in {"login_required", "interaction_required", "consent_required"}:
            return Refusal(401, "login-refused")
        if error == "authentication_expired":
            return Stale("login-expired", *stale_as)
        return Refusal(400, "login-refused")

    async def _redeem(
        self, request: Request, code: str, attempt: Attempt, provider: Provider, host: str, cookies: OwnCookies
    ) -> tuple[Session, Redirect] | Stale | Refusal:
        try:
            tokens = await self._endpoints.redeem(provider, code, attempt.redirect_uri, attempt.verifier)
            token = await self._verified(tokens, attempt, request.client_ip)
            session = await self._sessions.begun(self._session_of(token, tokens))
            if self._config.userinfo and provider.userinfo_endpoint:
                session = await self._with_userinfo(session, provider)
        except TokensRefusedError as error:
            if error.needs_login:
                await self._forget(attempt)
                return Stale("code-refused", attempt.return_to, attempt.is_restart)
            self._log.error("the provider refuses our request for tokens: %s", shown_error(error.code))
            return away("client-refused")
        except ProviderAwayError as error:
            self._log.warning("a login cannot be completed: %s", error)
            return away("provider-away")
        except RefusedTokenError as error:
            self._log.warning("a login gave an ID token that is refused: %s", error.code)
            return Refusal(400, error.code)
        text = await self._sessions.kept(session, host)
        if not text:
            self._log.error("a session is too large for cookies: set session.claims, or session.store: valkey")
            return Refusal(400, "session-too-large")
        fields = self._writer.session(text, self._sessions.max_age_of(session), cookies)
        name = attempt_name(self._writer.base, attempt.id)
        return session, Redirect(attempt.return_to, [*fields, *self._writer.removed([name])])

    async def _verified(self, tokens: Tokens, attempt: Attempt, client: str) -> Token:
        if not tokens.id_token:
            raise RefusedTokenError("token-missing")
        token = read_token(tokens.id_token)
        provider = await self._provider.has_key_for(token, client)
        if provider is None:
            raise ProviderAwayError("the provider's keys are not there")
        check_signature(token, provider.keys)
        now, oldest = self._clock.wall(), self._config.login_max_age
        check_id_token(token, self._expected, now, nonce=attempt.nonce, access_token=tokens.access_token)
        if oldest:
            entered = token.claims.get("auth_time")
            if not isinstance(entered, int | float) or now - entered > oldest + self._expected.leeway:
                raise RefusedTokenError("token-auth-time")
        return token

    def _session_of(self, token: Token, tokens: Tokens) -> Session:
        """Return a new session: nothing of one that the browser had before becomes part of it."""
        claims, now, kept = token.claims, self._clock.wall(), self._config.session.claims
        sid = claims.get("sid")
        session = Session(
            id=as_text(secrets.token_bytes(24)),
            issuer=claims["iss"],
            subject=claims["sub"],
            began=now,
            seen=now,
            id_token="" if kept else tokens.id_token,
            more={name: claims[name] for name in kept if name in claims},
            provider_sid=sid if isinstance(sid, str) else "",
            nonce=claims["nonce"],
        )
        return session.with_tokens(tokens, now, self._config.session.refresh_before)

    async def _with_userinfo(self, session: Session, provider: Provider) -> Session:
        found = await self._endpoints.userinfo(provider, session.access_token)
        if found.get("sub") != session.subject:
            raise RefusedTokenError("userinfo-subject")  # OpenID Connect Core section 5.3.2
        kept = self._config.session.claims
        if "email" in found and "email_verified" not in found and found["email"] != session.claims.get("email"):
            found = {**found, "email_verified": False}  # what the ID token says is about another address
        more = {name: value for name, value in found.items() if not kept or name in kept}
        return session.with_more(more)


def _parameters(query: str) -> dict[str, str] | None:
    """Return what a callback's query says; None if it says something twice."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in _PARAMETERS:
            if name in found:
                return None
            found[name] = value
    return found
