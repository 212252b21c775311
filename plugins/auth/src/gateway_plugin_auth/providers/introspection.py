"""Callers who present a token that only its authorization server can read.

A token that was seen before costs what a JSON Web Token does: one look-up by the bytes of the Authorization field.
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
from gateway_tokens.forwarding import field_readers, fields_of
from gateway_tokens.jws import described_claims
from gateway_tokens.texts import many

from gateway_plugin_auth.config.introspection import IntrospectionProvider
from gateway_plugin_auth.config.revocation import BYTES_PER_TOKEN
from gateway_plugin_auth.credentials import AmbiguousError, find_first
from gateway_plugin_auth.introspection import Introspected, Introspection, Introspector, Unanswered
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, unavailable
from gateway_plugin_auth.sharing import acquire, release
from gateway_plugin_auth.subjects import subject_of

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1. What is none is no token of any server."""
_BUSY: Final = "busy"
_AWAY: Final = "no-introspection"


class _Entry:
    """What becomes of a token's requests, and until when."""

    __slots__ = ("outcome", "until")

    def __init__(self, outcome: Verified | Refusal, until: float) -> None:
        self.outcome = outcome
        self.until = until


class IntrospectedTokens:
    """Asks the authorization server about tokens, and remembers what it says."""

    challenges: tuple[str, ...] = ("Bearer",)

    def __init__(self, config: IntrospectionProvider, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._wall = context.clock.wall
        self._sources = tuple(source.compiled() for source in config.token_from)
        self._policy = config.claim_policy()
        self._access = config.access_rules()
        self._identity_claims = tuple(map(claim_path, many(config.identity_claim)))
        self._identity_is_asked_for = "identity_claim" in config.model_fields_set
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        self._cache: VerifiedCache[_Entry] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # The first place that has credentials counts, so a field may be looked up at once only if it is the first one.
        self._is_looked_up = self._sources[0].is_authorization
        self._before = f" {self._sources[0].scheme or 'Bearer'} ".encode()
        self._introspector: Introspector | None = None
        self._shared_as: object = None
        self._state = f"auth.introspection.{id(self)}"
        """Where a request has what the server said for it; it may be too old to be kept."""

    async def start(self) -> None:
        """Prepare the requests to the server, which is first asked about the first token.

        :raises ValueError: a file cannot be used; `OSError` if it cannot be read.
        """
        made = await asyncio.to_thread(Introspector, self._config, self._context)
        alike = await asyncio.to_thread(self._config.asked_alike)
        self._shared_as = ("introspection", alike, id(self._context.clock))
        self._introspector = acquire(self._shared_as, lambda: made)

    async def stop(self) -> None:
        introspector, self._introspector = self._introspector, None
        if introspector is not None:
            await release(self._shared_as)

    def hide(self, request: Request) -> None:
        """Take tokens out of the request, if so configured."""
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
        token = found[1]
        if len(token) > self._config.max_token_bytes:
            return Refusal("too-large", "invalid_request")
        spelled = self._before + token.encode("utf-8", "surrogatepass")
        entry = self._cache.get(spelled)
        if entry is not None and self._wall() < entry.until:
            return entry.outcome
        return self._look_up(request, token, spelled)

    def _look_up(self, request: Request, token: str, spelled: bytes) -> Outcome:
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

    def _judge(self, found: Introspected, claims: Mapping[str, Any], spelled: bytes) -> Verified | Refusal:
        now = self._wall()
        problem = claims_problem(claims, self._policy, now)
        if problem is None and "cnf" in claims:
            problem = "confirmation"  # bound to a key or certificate, of which nothing was proven
        if problem is not None:
            return Refusal(problem, detail=described_claims(claims))
        outcome = self._outcome(claims)
        if now < found.until:
            self._cache.put(spelled, _Entry(outcome, found.until), found.size)
        return outcome

    def _outcome(self, claims: Mapping[str, Any]) -> Verified | Refusal:
        subject = subject_of(claims, self._identity_claims, is_asked_for=self._identity_is_asked_for)
        if subject is None:
            return Refusal("identity")
        problem = self._access.problem(claims)
        if problem is not None:
            return Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        identity = Identity(self._config.identity_prefix + subject, "introspection", MappingProxyType(dict(claims)))
        return Verified(identity, tuple(fields_of(claims, self._mapping)))


_NO_PLACE: Final = Unanswered("too many tokens are asked about")
