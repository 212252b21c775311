"""Callers who present a token that only its authorization server can read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_sdk import Identity, PluginContext, Request, client_network
from gateway_tokens.claims import claims_problem
from gateway_tokens.confirmation import Confirmation, UnknownConfirmationError, read_confirmation
from gateway_tokens.forwarding import fields_of
from gateway_tokens.jws import described_claims

from gateway_plugin_auth.config.introspection import IntrospectionProvider
from gateway_plugin_auth.introspection import Introspected, Introspection, Introspector, Unanswered
from gateway_plugin_auth.outcomes import Needs, Verified
from gateway_plugin_auth.providers.tokens import Entry, TokenProvider
from gateway_plugin_auth.refusals import Refusal, unavailable
from gateway_plugin_auth.sharing import acquire, release

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1. What is none is no token of any server."""
_BUSY: Final = "busy"
_AWAY: Final = "no-introspection"
_OTHER_TOKENS: Final = {
    "token_use": frozenset({"refresh_token", "refresh", "id_token", "id"}),
    "typ": frozenset({"refresh", "offline", "id"}),
}
"""What servers say of tokens that are no access tokens, in lower case: Ory Hydra and Cognito, and Keycloak."""


class IntrospectedTokens(TokenProvider[Entry]):
    """Asks the authorization server about tokens, and remembers what it says."""

    def __init__(self, config: IntrospectionProvider, context: PluginContext) -> None:
        super().__init__(config, context, identity_is_asked_for="identity_claim" in config.model_fields_set)
        self._config = config
        self._context = context
        self._introspector: Introspector | None = None
        self._shared_as: object = None
        self._state = f"auth.introspection.{id(self)}"
        """Where a request has what the server said for it; it may be too old to be kept."""

    async def start(self) -> None:
        """Prepare the requests to the server, which is first asked about the first token.

        :raises ValueError: a file cannot be used; `OSError` if it cannot be read.
        """
        await super().start()
        made = await asyncio.to_thread(Introspector, self._config, self._context)
        alike = await asyncio.to_thread(self._config.asked_alike)
        self._shared_as = ("introspection", alike, id(self._context.clock))
        self._introspector = acquire(self._shared_as, lambda: made)

    async def stop(self) -> None:
        introspector, self._introspector = self._introspector, None
        if introspector is not None:
            await release(self._shared_as)
        await super().stop()

    def _judge(self, request: Request, token: str, spelled: bytes) -> Entry | Refusal | Needs:
        introspector = self._introspector
        if introspector is None:
            return unavailable(_AWAY, 1.0)
        if _TOKEN.fullmatch(token) is None:
            return Refusal("malformed")
        digest = introspector.digest(token)
        found: Introspection | None = request.state.get(self._state) or introspector.known(digest)
        if found is None:
            return Needs(partial(self._ask, request, introspector, token, digest), unavailable(_BUSY, 1.0))
        if isinstance(found, Unanswered):
            return unavailable(_BUSY if found is _NO_PLACE else _AWAY, found.retry_after, found.why)
        if found.claims is None:
            return Refusal("inactive")
        return self._accept(found, found.claims, spelled)

    async def _ask(self, request: Request, introspector: Introspector, token: str, digest: bytes) -> None:
        client = client_network(request.client_ip)
        waiting = introspector.look_up(token, digest, client, self._context.runtime.upstreams)
        # Waiting does not cancel: the client that began it may leave while others wait for the same.
        await asyncio.wait([waiting])
        request.state[self._state] = waiting.result() or _NO_PLACE

    def _accept(self, found: Introspected, claims: Mapping[str, Any], spelled: bytes) -> Entry | Refusal:
        now = self._wall()
        self._forget(spelled)
        problem = "type" if _is_other_token(claims) else claims_problem(claims, self._policy, now)
        if problem is not None:
            return Refusal(problem, detail=described_claims(claims))
        try:
            confirmation = _confirmation(claims)
        except UnknownConfirmationError as error:
            return Refusal("confirmation", detail=str(error))
        until = min(found.until, self._step_up.until(claims)) if self._step_up is not None else found.until
        entry = Entry(self._outcome(claims, now), until, confirmation, is_bound=self._is_bound(confirmation))
        if now < until:
            self._keep(spelled, entry, found.size + len(spelled))
        return entry

    def _outcome(self, claims: Mapping[str, Any], now: float) -> Verified | Refusal:
        subject = self._subject(claims)
        if subject is None:
            return Refusal("identity")
        if (refusal := self._refusal(claims, now)) is not None:
            return refusal
        identity = Identity(self._config.identity_prefix + subject, "introspection", MappingProxyType(dict(claims)))
        return Verified(identity, tuple(fields_of(claims, self._mapping)))


def _is_other_token(claims: Mapping[str, Any]) -> bool:
    """Return whether the server calls the token a refresh token or an ID token, which are active as well."""
    said = ((claims.get(name), kinds) for name, kinds in _OTHER_TOKENS.items())
    return any(isinstance(text, str) and text.lower() in kinds for text, kinds in said)


def _confirmation(claims: Mapping[str, Any]) -> Confirmation | None:
    """Return what the client must prove (RFC 7662 by RFC 8705 section 3.2 and RFC 9449 section 6.2).

    :raises UnknownConfirmationError: that cannot be checked, or the server does not name the key of a DPoP token.
    """
    confirmation = read_confirmation(claims)
    kind = claims.get("token_type")
    if isinstance(kind, str) and kind.lower() == "dpop" and (confirmation is None or confirmation.key is None):
        raise UnknownConfirmationError("token_type is DPoP, and there is no cnf with jkt")
    return confirmation


_NO_PLACE: Final = Unanswered("too many tokens are asked about")
