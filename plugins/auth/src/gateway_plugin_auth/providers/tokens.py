"""What providers of tokens share: where tokens are, which were judged before, and what their clients must prove.

**What a token that was seen before costs**: a look-up by the bytes of the Authorization field as they came, and the
question whether what the token was accepted for still holds (`TokenProvider._holds`). So tokens are kept as they are,
in one spelling each: a token that comes in another way (a cookie, another case of the scheme) is found under the same
one. Tokens whose clients must prove something are kept apart from the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from gateway_plugin_sdk import PluginContext, Request, claim_path
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.confirmation import Confirmation
from gateway_tokens.forwarding import field_readers
from gateway_tokens.texts import many

from gateway_plugin_auth.config import IntrospectionProvider, JwtOptions
from gateway_plugin_auth.config.revocation import BYTES_PER_TOKEN
from gateway_plugin_auth.credentials import find_first
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified
from gateway_plugin_auth.possession import Possession, challenges_of, with_dpop
from gateway_plugin_auth.refusals import Refusal
from gateway_plugin_auth.step_up import StepUp
from gateway_plugin_auth.subjects import subject_of

_TOO_LARGE: Final = Refusal("too-large", "invalid_request")


class Entry:
    """A token that was judged: what becomes of its requests, and until when."""

    __slots__ = ("confirmation", "is_bound", "outcome", "until")

    def __init__(
        self, outcome: Verified | Refusal, until: float, confirmation: Confirmation | None, *, is_bound: bool
    ) -> None:
        self.outcome = outcome
        self.until = until
        self.confirmation = confirmation
        self.is_bound = is_bound
        """Whether the outcome holds only for a client that proves something."""


EntryT = TypeVar("EntryT", bound=Entry)


class TokenProvider(ABC, Generic[EntryT]):
    """Judges the tokens of requests, and remembers those that it judged."""

    def __init__(
        self, config: JwtOptions | IntrospectionProvider, context: PluginContext, *, identity_is_asked_for: bool
    ) -> None:
        """Prepare what needs no I/O.

        :param identity_is_asked_for: whether the configuration names the claim that callers are known by.
        """
        self._wall = context.clock.wall
        self.sources = with_dpop(config, config.token_sources())
        self.challenges = challenges_of(config)
        self._possession = Possession(config, context)
        self._hidden = self.sources if config.hide_credentials else ()
        self._hides_proof = config.dpop is not None and config.dpop.hide_proof
        self._step_up = (
            StepUp(config.step_up.acr_values, config.step_up.max_age, config.leeway) if config.step_up else None
        )
        self._policy = config.claim_policy()
        self._access = config.access_rules()
        self._most_characters = config.max_token_bytes
        self._identity_claims = tuple(map(claim_path, many(config.identity_claim)))
        self._identity_is_asked_for = identity_is_asked_for
        self._mapping = field_readers(config.claims_to_headers)
        self.header_names = tuple(config.claims_to_headers)
        self._cache: VerifiedCache[EntryT] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # Tokens whose clients must prove something, apart: what is found among the others is accepted as it is.
        self._bound: VerifiedCache[EntryT] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # The first place that has credentials counts, so a field may be looked up at once only if it is the first one.
        first = self.sources[0]
        self._is_looked_up = first.is_authorization and not first.is_dpop
        self._before = f" {first.scheme or 'Bearer'} ".encode()

    async def start(self) -> None:
        """Prepare what proofs are compared with."""
        await self._possession.start()

    async def stop(self) -> None:
        await self._possession.stop()

    def hide(self, request: Request) -> None:
        """Take tokens and proofs out of the request, if so configured."""
        if self._hides_proof:
            request.headers.remove("DPoP")
        for source in self._hidden:
            source.hide(request)

    def check(self, request: Request) -> Outcome:
        """Judge the request's token."""
        if self._is_looked_up:
            entry = self._cache.get(request.authorization_bytes)
            if entry is not None and self._holds(entry):
                return entry.outcome
        found = find_first(self.sources, request)
        if isinstance(found, Refusal):
            return found
        source, token = found
        if len(token) > self._most_characters:
            return _TOO_LARGE
        # The scheme in front of it has many spellings: each would take another token's place.
        spelled = self._before + token.encode("utf-8", "surrogatepass")
        entry = self._cache.get(spelled) or self._bound.get(spelled)
        judged = entry if entry is not None and self._holds(entry) else self._judge(request, token, spelled)
        if not isinstance(judged, Entry):
            return judged
        if source.is_dpop or judged.is_bound:
            unproven = self._possession.check(request, judged.confirmation, token, is_dpop=source.is_dpop)
            if unproven is not None:
                return unproven
        return judged.outcome

    def _holds(self, entry: EntryT) -> bool:
        """Return whether what a token was accepted for is still so."""
        return self._wall() < entry.until

    @abstractmethod
    def _judge(self, request: Request, token: str, spelled: bytes) -> EntryT | Refusal | Needs:
        """Judge a token that is not remembered, and keep what may be.

        :param spelled: the spelling that it is kept by.
        """

    def _is_bound(self, confirmation: Confirmation | None) -> bool:
        return confirmation is not None or self._possession.is_required

    def _keep(self, spelled: bytes, entry: EntryT, size: int) -> None:
        (self._bound if entry.is_bound else self._cache).put(spelled, entry, size)

    def _forget(self, spelled: bytes) -> None:
        self._cache.drop(spelled)
        self._bound.drop(spelled)

    def _subject(self, claims: Mapping[str, Any]) -> str | None:
        """Return the caller's name, or None if the claims have none."""
        return subject_of(claims, self._identity_claims, is_asked_for=self._identity_is_asked_for)

    def _refusal(self, claims: Mapping[str, Any], now: float) -> Refusal | None:
        """Return why a caller with these claims may not pass."""
        problem = self._access.problem(claims)
        if problem is not None:
            return Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        return self._step_up.refusal(claims, now) if self._step_up is not None else None
