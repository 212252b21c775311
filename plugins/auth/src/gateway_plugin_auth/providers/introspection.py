"""Callers who present a token that only its authorization server can read.

A token that was seen before costs what a JSON Web Token does: one look-up by the bytes of the Authorization field.
Tokens whose clients must prove something are kept apart from the others, as there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_sdk import Identity, PluginContext, Request, claim_path, client_network
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import claims_problem
from gateway_tokens.confirmation import Confirmation, UnknownConfirmationError, read_confirmation
from gateway_tokens.forwarding import field_readers, fields_of
from gateway_tokens.jws import described_claims
from gateway_tokens.texts import many

from gateway_plugin_auth.config.introspection import IntrospectionProvider
from gateway_plugin_auth.config.revocation import BYTES_PER_TOKEN
from gateway_plugin_auth.credentials import AmbiguousError, find_first
from gateway_plugin_auth.introspection import Introspected, Introspection, Introspector, Unanswered
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified
from gateway_plugin_auth.possession import Possession, challenges_of, with_dpop
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, unavailable
from gateway_plugin_auth.sharing import acquire, release
from gateway_plugin_auth.step_up import StepUp
from gateway_plugin_auth.subjects import subject_of

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1. What is none is no token of any server."""
_BUSY: Final = "busy"
_AWAY: Final = "no-introspection"
_OTHER_TOKENS: Final = {
    "token_use": frozenset({"refresh_token", "refresh", "id_token", "id"}),
    "typ": frozenset({"refresh", "offline", "id"}),
}
"""What servers say of tokens that are no access tokens, in lower case: Ory Hydra and Cognito, and Keycloak."""


class _Entry:
    """What becomes of a token's requests, and until when."""

    __slots__ = ("confirmation", "is_bound", "outcome", "until")

    def __init__(
        self, outcome: Verified | Refusal, until: float, confirmation: Confirmation | None, *, is_bound: bool
    ) -> None:
        self.outcome = outcome
        self.until = until
        self.confirmation = confirmation
        self.is_bound = is_bound
        """Whether the outcome holds only for a client that proves something."""


class IntrospectedTokens:
    """Asks the authorization server about tokens, and remembers what it says."""

    def __init__(self, config: IntrospectionProvider, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._wall = context.clock.wall
        self._sources = with_dpop(config, config.token_sources())
        self.challenges = challenges_of(config)
        self._possession = Possession(config, context)
        self._step_up = (
            StepUp(config.step_up.acr_values, config.step_up.max_age, config.leeway) if config.step_up else None
        )
        self._policy = config.claim_policy()
        self._access = config.access_rules()
        self._identity_claims = tuple(map(claim_path, many(config.identity_claim)))
        self._identity_is_asked_for = "identity_claim" in config.model_fields_set
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        self._cache: VerifiedCache[_Entry] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # Tokens whose clients must prove something, apart: what is found among the others is accepted as it is.
        self._bound: VerifiedCache[_Entry] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # The first place that has credentials counts, so a field may be looked up at once only if it is the first one.
        first = self._sources[0]
        self._is_looked_up = first.is_authorization and not first.is_dpop
        self._before = f" {first.scheme or 'Bearer'} ".encode()
        self._introspector: Introspector | None = None
        self._shared_as: object = None
        self._state = f"auth.introspection.{id(self)}"
        """Where a request has what the server said for it; it may be too old to be kept."""

    async def start(self) -> None:
        """Prepare the requests to the server, which is first asked about the first token.

        :raises ValueError: a file cannot be used; `OSError` if it cannot be read.
        """
        await self._possession.start()
        made = await asyncio.to_thread(Introspector, self._config, self._context)
        alike = await asyncio.to_thread(self._config.asked_alike)
        self._shared_as = ("introspection", alike, id(self._context.clock))
        self._introspector = acquire(self._shared_as, lambda: made)

    async def stop(self) -> None:
        introspector, self._introspector = self._introspector, None
        if introspector is not None:
            await release(self._shared_as)
        await self._possession.stop()

    def hide(self, request: Request) -> None:
        """Take tokens and proofs out of the request, if so configured."""
        if self._config.dpop is not None and self._config.dpop.hide_proof:
            request.headers.remove("DPoP")
        if self._config.hide_credentials:
            for source in self._sources:
                source.hide(request)

    def check(self, request: Request) -> Outcome:
        """Judge the request's token."""
        if self._is_looked_up:
            entry = self._cache.get(request.authorization_bytes)
            if entry is not None and self._wall() < entry.until:
                return entry.outcome
        try:
            found = find_first(self._sources, request)
        except AmbiguousError:
            return Refusal("ambiguous", "invalid_request")
        if found is None:
            return NO_CREDENTIALS
        source, token = found
        if len(token) > self._config.max_token_bytes:
            return Refusal("too-large", "invalid_request")
        spelled = self._before + token.encode("utf-8", "surrogatepass")
        entry = self._cache.get(spelled) or self._bound.get(spelled)
        judged = entry if entry is not None and self._wall() < entry.until else self._look_up(request, token, spelled)
        if not isinstance(judged, _Entry):
            return judged
        if source.is_dpop or judged.is_bound:
            unproven = self._possession.check(request, judged.confirmation, token, is_dpop=source.is_dpop)
            if unproven is not None:
                return unproven
        return judged.outcome

    def _look_up(self, request: Request, token: str, spelled: bytes) -> _Entry | Refusal | Needs:
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
        return self._judge(found, found.claims, spelled)

    async def _ask(self, request: Request, introspector: Introspector, token: str, digest: bytes) -> None:
        client = client_network(request.client_ip)
        waiting = introspector.look_up(token, digest, client, self._context.runtime.upstreams)
        # Waiting does not cancel: the client that began it may leave while others wait for the same.
        await asyncio.wait([waiting])
        request.state[self._state] = waiting.result() or _NO_PLACE

    def _judge(self, found: Introspected, claims: Mapping[str, Any], spelled: bytes) -> _Entry | Refusal:
        now = self._wall()
        self._cache.drop(spelled)
        self._bound.drop(spelled)
        problem = "type" if _is_other_token(claims) else claims_problem(claims, self._policy, now)
        if problem is not None:
            return Refusal(problem, detail=described_claims(claims))
        try:
            confirmation = _confirmation(claims)
        except UnknownConfirmationError as error:
            return Refusal("confirmation", detail=str(error))
        is_bound = confirmation is not None or self._possession.is_required
        until = min(found.until, self._step_up.until(claims)) if self._step_up is not None else found.until
        entry = _Entry(self._outcome(claims, now), until, confirmation, is_bound=is_bound)
        if now < until:
            (self._bound if is_bound else self._cache).put(spelled, entry, found.size + len(spelled))
        return entry

    def _outcome(self, claims: Mapping[str, Any], now: float) -> Verified | Refusal:
        subject = subject_of(claims, self._identity_claims, is_asked_for=self._identity_is_asked_for)
        if subject is None:
            return Refusal("identity")
        problem = self._access.problem(claims)
        if problem is not None:
            return Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        if self._step_up is not None and (refusal := self._step_up.refusal(claims, now)) is not None:
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
