"""Callers who present a JSON Web Token.

Tokens that were verified are kept as they are (see `tokens`). Those with a wrong signature are anybody's text, and are
kept as digests.
"""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType
from typing import Final

from gateway_plugin_sdk import Identity, PluginContext, Request, client_network
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.claims import claims_problem, type_problem, valid_until
from gateway_tokens.confirmation import UnknownConfirmationError, read_confirmation
from gateway_tokens.forwarding import fields_of
from gateway_tokens.jws import MalformedTokenError, Token, described, parse_token, spellings
from gateway_tokens.keyring import Keyring, make_keyring
from gateway_tokens.keys import KeySet

from gateway_plugin_auth.alb import AlbKeyring, header_problem, parse_alb_token
from gateway_plugin_auth.config import JwtOptions
from gateway_plugin_auth.outcomes import Needs, Verified
from gateway_plugin_auth.providers.tokens import Entry, TokenProvider
from gateway_plugin_auth.refusals import Refusal, unavailable
from gateway_plugin_auth.revocation_source import RevocationSource

_MOST_REFUSED: Final = 1000
# What claims and token take in memory; measured, between four and five times the token.
_BYTES_OF_AN_ENTRY: Final = 600
_BYTES_PER_CHARACTER: Final = 5


class VerifiedToken(Entry):
    """A token that was verified, and what that stood on."""

    __slots__ = ("revocations", "stamp")

    stamp: object
    """The keys, as they were."""

    revocations: object
    """The revocation list, as it was."""


class Tokens(TokenProvider[VerifiedToken]):
    """Verifies tokens, and remembers those that it verified."""

    def __init__(self, config: JwtOptions, context: PluginContext) -> None:
        default = JwtOptions.model_fields["identity_claim"].default
        super().__init__(config, context, identity_is_asked_for=config.identity_claim != default)
        self._config = config
        self._alb_signers: frozenset[str] | None = None
        if config.aws_alb is not None:
            self._alb_signers = frozenset(config.aws_alb.signers())
            self._keyring: Keyring = AlbKeyring(config.aws_alb, config.fetch, context)
        else:
            self._keyring = make_keyring(config.key_source(), context)
        self._revocations = (
            RevocationSource(config.revocation, config.fetch, context) if config.revocation is not None else None
        )
        self._refused: VerifiedCache[object] = VerifiedCache(min(config.cache.size, _MOST_REFUSED))
        own = (config.payload_header,) if config.payload_header is not None else ()
        self.header_names = (*self.header_names, *own)

    async def start(self) -> None:
        """Fetch what tokens are verified with."""
        await super().start()
        await self._keyring.start()
        if self._revocations is not None:
            await self._revocations.start()

    async def stop(self) -> None:
        await self._keyring.stop()
        await super().stop()
        if self._revocations is not None:
            await self._revocations.stop()

    def _holds(self, entry: VerifiedToken) -> bool:
        """Return whether what a token was accepted for is still so: its time, the keys, the revocation list."""
        return (
            self._wall() < entry.until
            and entry.stamp is self._keyring.stamp
            and (self._revocations is None or entry.revocations is self._revocations.stamp)
        )

    def _judge(self, request: Request, text: str, spelled: bytes) -> VerifiedToken | Refusal | Needs:
        digest = self._refused.digest(text)
        refused = self._refused.get(digest)
        if refused is not None and refused is self._keyring.stamp:
            return Refusal("signature")
        self._forget(spelled)
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

    def _accept(self, token: Token, text: str, spelled: bytes, now: float) -> VerifiedToken | Refusal:
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
        subject = self._subject(token.claims)
        if subject is None:
            return Refusal("identity")
        until = min(valid_until(token.claims, self._policy), now + (self._config.cache.max_age or math.inf))
        outcome: Verified | Refusal | None = self._refusal(token.claims, now)
        if outcome is None:
            if self._step_up is not None:
                until = min(until, self._step_up.until(token.claims))
            name = self._config.identity_prefix + subject
            fields = self._fields(token) if self.header_names else ()
            # The claims were read for this token, so nothing else can change them through the proxy.
            outcome = Verified(Identity(name, "jwt", MappingProxyType(token.claims)), fields)
        entry = VerifiedToken(outcome, until, confirmation, is_bound=self._is_bound(confirmation))
        entry.stamp = self._keyring.stamp
        entry.revocations = self._revocations.stamp if self._revocations is not None else None
        self._keep(spelled, entry, _BYTES_OF_AN_ENTRY + _BYTES_PER_CHARACTER * len(text))
        return entry

    def _fields(self, token: Token) -> tuple[tuple[str, str], ...]:
        fields = fields_of(token.claims, self._mapping)
        if self._config.payload_header is not None:
            fields.append((self._config.payload_header, token.payload.decode("ascii")))
        return tuple(fields)
