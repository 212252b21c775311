"""Renew access tokens: ahead of their end, and once for all who ask.

A refresh token is often good for one use, and a provider that sees it twice ends everything that came of it (RFC 9700
section 4.14.2). So of all requests, workers and gateways that hold one, one uses it: the others wait, and find the
result under the hash of the old token, where it stays for a while. A provider that refuses a token may have seen it
from another gateway a moment ago: the result is looked for once more before the session ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from gateway_plugin_sdk import Clock, GatewayError
from gateway_plugin_sdk.valkey import Values

from gateway_plugin_oidc.endpoints import Endpoints, ProviderAwayError, TokensRefusedError, shown_error
from gateway_plugin_oidc.id_tokens import Expected, RefusedTokenError, check_id_token, check_signature, read_token
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.sealing import Sealer
from gateway_plugin_oidc.session import Session, Tokens

RESULT_LIFETIME: Final = 60.0
"""Seconds that the result of a refresh is found under the old token."""
_PAUSE: Final = 5.0
"""Seconds after a failure in which the provider is not asked again for the same session."""
_HOLDS: Final = 2
"""The lock lives so many times as long as others wait for it: the keys of an ID token may have to be loaded as well."""
_LOOK_AGAIN: Final = 0.05
_MOST_PAUSES: Final = 10_000

Spawn = Callable[[Coroutine[Any, Any, "Session | None"]], "asyncio.Task[Session | None]"]


class Renewals:
    """Renews the sessions of a binding."""

    def __init__(
        self,
        endpoints: Endpoints,
        provider: ProviderDocument,
        expected: Expected,
        sealer: Sealer,
        values: Values,
        *,
        clock: Clock,
        log: logging.Logger,
        spawn: Spawn,
        refresh_before: float,
        longest: float,
        wait: float,
    ) -> None:
        """Take what a refresh needs.

        :param refresh_before: seconds before their end at which tokens are renewed.
        :param longest: seconds for which the end of a session is kept.
        :param wait: seconds that a refresh may take, that of another gateway included.
        """
        self._endpoints = endpoints
        self._provider = provider
        self._expected = expected
        self._sealer = sealer
        self._values = values
        self._clock = clock
        self._log = log
        self._spawn = spawn
        self._refresh_before = refresh_before
        self._longest = longest
        self._wait = wait
        self._flights: dict[str, asyncio.Task[Session | None]] = {}
        self._paused: dict[str, float] = {}
        self.results: dict[str, int] = {"renewed": 0, "refused": 0, "away": 0}
        """How refreshes ended."""

    def begin(self, session: Session, host: str) -> asyncio.Task[Session | None] | None:
        """Begin to renew a session, or join who did; None while the provider is left alone.

        The task returns the session with new tokens, the session as it is if the provider is away, or None if the
        provider ended it. It goes on when those who wait for it leave: the old token is used up by then.
        """
        key = _key(session)
        flight = self._flights.get(key)
        if flight is None:
            if self._clock.monotonic() < self._paused.get(key, 0.0):
                return None
            flight = self._flights[key] = self._spawn(self._renew(session, host, key))
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return flight

    def is_under_way(self, session: Session) -> bool:
        """Return whether this worker renews a session now."""
        return _key(session) in self._flights

    async def found(self, session: Session, host: str) -> Session | None:
        """Return the result of a refresh of this session's token, in any process, if there was one.

        :raises GatewayError: the store does not respond.
        """
        return await self._result(session, host)

    async def _renew(self, session: Session, host: str, key: str) -> Session | None:
        values, deadline = self._values, self._clock.monotonic() + self._wait
        try:
            while not await values.add(f"renewing:{key}", b"1", ttl=_HOLDS * self._wait):
                if (found := await self._result(session, host)) is not None:
                    return found
                if self._clock.monotonic() > deadline:
                    return self._away(session, key, "another gateway does not finish a refresh")
                await asyncio.sleep(_LOOK_AGAIN)
            if (found := await self._result(session, host)) is not None:
                return found
            try:
                return await self._ask(session, host, key)
            finally:
                # Not before the result is there: who asks next would use the old token once more.
                await self._forget_lock(key)
        except (GatewayError, ProviderAwayError) as error:
            return self._away(session, key, str(error))

    async def _ask(self, session: Session, host: str, key: str) -> Session | None:
        try:
            provider = self._provider.current()
            if provider is None:
                raise ProviderAwayError("the provider's metadata is not there")
            tokens = await self._endpoints.refresh(provider, session.refresh_token)
            renewed = await self._checked(session, tokens)
        except TokensRefusedError as error:
            if not error.needs_login:
                # Our own secret is wrong, or the provider has a bad day: no user is logged out for that.
                raise ProviderAwayError(f"the provider refuses the refresh: {shown_error(error.code)}") from None
            found = await self._result(session, host)
            if found is None:
                self._log.info("the provider ended session %s", session.id[:6])
                await self._refused(session)
            return found
        except RefusedTokenError as error:
            self._log.warning("a refresh gave an ID token that is refused: %s", error.code)
            await self._refused(session)
            return None
        self.results["renewed"] += 1
        sealed = self._sealer.seal(renewed.to_bytes(), "renewed", host)
        try:
            await self._values.put(f"renewed:{key}", sealed, ttl=RESULT_LIFETIME)
        except GatewayError as error:
            # The old token is used up, so those who wait get the new one whatever the store does.
            self._log.warning("the result of a refresh cannot be kept: %s", error)
        return renewed

    async def _refused(self, session: Session) -> None:
        """End a session at once: until its token ends, every request would ask the provider again."""
        self.results["refused"] += 1
        await self._values.put(ended_key(session.id), b"1", ttl=self._longest)

    async def _forget_lock(self, key: str) -> None:
        try:
            await self._values.delete(f"renewing:{key}")
        except GatewayError as error:  # it ends by itself
            self._log.warning("the lock of a refresh cannot be removed: %s", error)

    async def _checked(self, session: Session, tokens: Tokens) -> Session:
        now = self._clock.wall()
        renewed = session.with_tokens(tokens, now, self._refresh_before)
        if not tokens.id_token:
            return renewed
        token = read_token(tokens.id_token)
        provider = await self._provider.has_key_for(token, "")
        if provider is None:
            raise ProviderAwayError("the provider's keys are not there")
        check_signature(token, provider.keys)
        # It mostly has no nonce, and never another one (OpenID Connect Core section 12.2).
        nonce = session.nonce if "nonce" in token.claims else None
        check_id_token(token, self._expected, now, nonce=nonce, access_token=tokens.access_token)
        if (token.claims["iss"], token.claims["sub"]) != (session.issuer, session.subject):
            raise RefusedTokenError("token-subject")
        return replace(renewed, id_token=tokens.id_token) if session.id_token else renewed

    async def _result(self, session: Session, host: str) -> Session | None:
        sealed = await self._values.get(f"renewed:{_key(session)}")
        data = self._sealer.unseal(sealed, "renewed", host) if sealed is not None else None
        found = Session.from_bytes(data) if data is not None else None
        return found if found is not None and _is_newer(found, session) else None

    def _away(self, session: Session, key: str, why: str) -> Session:
        self.results["away"] += 1
        if len(self._paused) >= _MOST_PAUSES:
            self._paused.clear()
        self._paused[key] = self._clock.monotonic() + _PAUSE
        self._log.warning("cannot renew session %s: %s", session.id[:6], why)
        return session


def ended_key(session_id: str) -> str:
    """Return the key of the mark that a session was ended."""
    return f"ended:{session_id}"


def _key(session: Session) -> str:
    # With the session: some providers have one refresh token for all sessions of a user.
    return hashlib.sha256(f"{session.id}\0{session.refresh_token}".encode()).hexdigest()


def _is_newer(found: Session, session: Session) -> bool:
    # A provider that leaves the refresh token as it is has results of one renewal found at the next one, too.
    tokens = (session.access_token, session.refresh_token)
    return (found.access_token, found.refresh_token) != tokens or found.renew_at > session.renew_at
