"""Callers who present a JSON Web Token.

**What a token that was seen before costs**: a look-up by the bytes of the Authorization field as they came, and the
question whether what the token was accepted for still holds (`Tokens._holds`). So tokens are kept as they are, in one
spelling each: a token that comes in another way (a cookie, another case of the scheme) is found under the same one.
Tokens with a wrong signature are anybody's text, and are kept as digests.
"""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType
from typing import Final

from gateway_plugin_sdk import Identity, PluginContext, Request, claim_path, client_network
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import claims_problem, type_problem, valid_until
from gateway_tokens.confirmation import Confirmation, UnknownConfirmationError, read_confirmation
from gateway_tokens.forwarding import field_readers, fields_of
from gateway_tokens.jws import MalformedTokenError, Token, described, parse_token, spellings
from gateway_tokens.keyring import Keyring, make_keyring
from gateway_tokens.keys import KeySet
from gateway_tokens.texts import many

from gateway_plugin_auth.alb import AlbKeyring, header_problem, parse_alb_token
from gateway_plugin_auth.config import JwtOptions
from gateway_plugin_auth.config.revocation import BYTES_PER_TOKEN
from gateway_plugin_auth.credentials import AmbiguousError, find_first
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified
from gateway_plugin_auth.possession import Possession, challenges_of, with_dpop
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, unavailable
from gateway_plugin_auth.revocation_source import RevocationSource
from gateway_plugin_auth.step_up import StepUp
from gateway_plugin_auth.subjects import subject_of

_MOST_REFUSED: Final = 1000
# What claims and token take in memory; measured, between four and five times the token.
_BYTES_OF_AN_ENTRY: Final = 600
_BYTES_PER_CHARACTER: Final = 5
_TOO_LARGE: Final = Refusal("too-large", "invalid_request")


class Entry:
    """A token that was verified, and what that stood on."""

    __slots__ = ("confirmation", "is_bound", "outcome", "revocations", "stamp", "until")

    def __init__(self, outcome: Verified | Refusal, stamp: object, revocations: object, until: float) -> None:
        self.outcome = outcome
        self.stamp = stamp
        self.revocations = revocations
        self.until = until
        self.confirmation: Confirmation | None = None
        self.is_bound = False
        """Whether the outcome holds only for a client that proves something."""


class Tokens:
    """Verifies tokens, and remembers those that it verified."""

    def __init__(self, config: JwtOptions, context: PluginContext) -> None:
        self._config = config
        self._wall = context.clock.wall
        self._sources = with_dpop(config, config.token_sources())
        self.challenges = challenges_of(config)
        self._possession = Possession(config, context)
        self._step_up = (
            StepUp(config.step_up.acr_values, config.step_up.max_age, config.leeway) if config.step_up else None
        )
        self._policy = config.claim_policy()
        self._access = config.access_rules()
        self._most_characters = config.max_token_bytes
        self._identity_claims = tuple(map(claim_path, many(config.identity_claim)))
        self._identity_is_asked_for = config.identity_claim != JwtOptions.model_fields["identity_claim"].default
        self._mapping = field_readers(config.claims_to_headers)
        self._alb_signers: frozenset[str] | None = None
        if config.aws_alb is not None:
            self._alb_signers = frozenset(config.aws_alb.signers())
            self._keyring: Keyring = AlbKeyring(config.aws_alb, config.fetch, context)
        else:
            self._keyring = make_keyring(config.key_source(), context)
        self._revocations = (
            RevocationSource(config.revocation, config.fetch, context) if config.revocation is not None else None
        )
        self._cache: VerifiedCache[Entry] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        # Tokens whose clients must prove something, apart: what is found among the others is accepted as it is.
        self._bound: VerifiedCache[Entry] = VerifiedCache(config.cache.size, BYTES_PER_TOKEN)
        self._refused: VerifiedCache[object] = VerifiedCache(min(config.cache.size, _MOST_REFUSED))
        # The first place that has credentials counts, so a field may be looked up at once only if it is the first one.
        first = self._sources[0]
        self._is_looked_up = first.is_authorization and not first.is_dpop
        self._before = f" {first.scheme or 'Bearer'} ".encode()
        own = (config.payload_header,) if config.payload_header is not None else ()
        self.header_names = (*config.claims_to_headers, *own)

    async def start(self) -> None:
        """Fetch what tokens are verified with."""
        await self._possession.start()
        await self._keyring.start()
        if self._revocations is not None:
            await self._revocations.start()

    async def stop(self) -> None:
        await self._keyring.stop()
        await self._possession.stop()
        if self._revocations is not None:
            await self._revocations.stop()

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
            if entry is not None and self._holds(entry):
                return entry.outcome
        try:
            found = find_first(self._sources, request)
        except AmbiguousError:
            return Refusal("ambiguous", "invalid_request")
        if found is None:
            return NO_CREDENTIALS
        source, text = found
        if len(text) > self._most_characters:
            return _TOO_LARGE
        # The scheme in front of it has many spellings: each would take another token's place.
        spelled = self._before + text.encode("utf-8", "surrogatepass")
        entry = self._cache.get(spelled) or self._bound.get(spelled)
        verified = entry if entry is not None and self._holds(entry) else self._verify(request, text, spelled)
        if not isinstance(verified, Entry):
            return verified
        if source.is_dpop or verified.is_bound:
            unproven = self._possession.check(request, verified.confirmation, text, is_dpop=source.is_dpop)
            if unproven is not None:
                return unproven
        return verified.outcome

    def _holds(self, entry: Entry) -> bool:
        """Return whether what a token was accepted for is still so: its time, the keys, the revocation list."""
        return (
            self._wall() < entry.until
            and entry.stamp is self._keyring.stamp
            and (self._revocations is None or entry.revocations is self._revocations.stamp)
        )

    def _verify(self, request: Request, text: str, spelled: bytes) -> Entry | Refusal | Needs:
        digest = self._refused.digest(text)
        refused = self._refused.get(digest)
        if refused is not None and refused is self._keyring.stamp:
            return Refusal("signature")
        self._cache.drop(spelled)
        self._bound.drop(spelled)
        try:
            token = parse_token(text) if self._alb_signers is None else parse_alb_token(text)
        except MalformedTokenError:
            return Refusal("malformed")
        now = self._wall()
        # What needs no key comes first: it is cheap, and a stranger's token must not make us fetch keys.
        problem = type_problem(token.header, self._policy.types) or claims_problem(token.claims, self._policy, now)
        if problem is None and self._alb_signers is not None:
            problem = header_problem(token, self._alb_signers)
        if problem is not None:
            return Refusal(problem, detail=described(token))
        return self._check_signature(request, token, digest) or self._accept(token, text, spelled, now)

    def _check_signature(self, request: Request, token: Token, digest: bytes) -> Refusal | Needs | None:
        keys = self._keyring.current()
        if keys is None or not keys.has_key_for(token):
            client = client_network(request.client_ip)
            if self._keyring.may_ask(token, client):
                return Needs(partial(self._keyring.refetch, token, client), self._without_key(keys, token))
            return self._without_key(keys, token)
        candidates = keys.candidates(token)
        if not candidates:
            return Refusal("algorithm", detail=described(token))
        if not any(key.verifies(token) for key in candidates):
            self._refused.put(digest, self._keyring.stamp)
            return Refusal("signature", detail=described(token))
        return None

    def _without_key(self, keys: KeySet | None, token: Token) -> Refusal:
        if keys is None or self._keyring.is_unsure(token):
            return unavailable("no-keys", self._keyring.retry_after(), described(token))
        return Refusal("unknown-key", detail=described(token))

    def _accept(self, token: Token, text: str, spelled: bytes, now: float) -> Entry | Refusal:
        if self._revocations is not None:
            revoked = self._revocations.current()
            if revoked is None:
                return unavailable("no-revocations", self._revocations.retry_after())
            if revoked.has(token.claims, *spellings(token, text)):
                return Refusal("revoked", detail=described(token))
        try:
            confirmation = read_confirmation(token.claims)
        except UnknownConfirmationError as error:
            return Refusal("confirmation", detail=str(error))
        subject = subject_of(token.claims, self._identity_claims, is_asked_for=self._identity_is_asked_for)
        if subject is None:
            return Refusal("identity")
        until = min(valid_until(token.claims, self._policy), now + (self._config.cache.max_age or math.inf))
        outcome: Verified | Refusal
        problem = self._access.problem(token.claims)
        if problem is not None:
            outcome = Refusal(problem, "insufficient_scope", self._access.scope_needed if problem == "scope" else "")
        elif self._step_up is not None and (refusal := self._step_up.refusal(token.claims, now)) is not None:
            outcome = refusal
        else:
            if self._step_up is not None:
                until = min(until, self._step_up.until(token.claims))
            name = self._config.identity_prefix + subject
            fields = self._fields(token) if self.header_names else ()
            # The claims were read for this token, so nothing else can change them through the proxy.
            outcome = Verified(Identity(name, "jwt", MappingProxyType(token.claims)), fields)
        revocations = self._revocations.stamp if self._revocations is not None else None
        entry = Entry(outcome, self._keyring.stamp, revocations, until)
        entry.confirmation = confirmation
        entry.is_bound = confirmation is not None or self._possession.is_required
        cache = self._bound if entry.is_bound else self._cache
        cache.put(spelled, entry, _BYTES_OF_AN_ENTRY + _BYTES_PER_CHARACTER * len(text))
        return entry

    def _fields(self, token: Token) -> tuple[tuple[str, str], ...]:
        fields = fields_of(token.claims, self._mapping)
        if self._config.payload_header is not None:
            fields.append((self._config.payload_header, token.payload.decode("ascii")))
        return tuple(fields)
