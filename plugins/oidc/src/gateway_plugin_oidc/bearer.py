"""Access tokens of other clients of the same provider, beside sessions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_sdk import Clock, Identity
from gateway_tokens.cache import VerifiedCache
from gateway_tokens.jws import Token

from gateway_plugin_oidc.id_tokens import (
    Expected,
    RefusedTokenError,
    check_bearer,
    check_signature,
    read_token,
    trusted_claims,
)
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.refusals import Refusal, away

_LONGEST: Final = 16384
_REMEMBERED: Final = 10_000
_BYTES_PER_CHARACTER: Final = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is."""

    identity: Identity
    fields: tuple[tuple[str, str], ...]
    """For the upstream."""


class Bearers:
    """Verifies access tokens, and remembers those that it verified."""

    def __init__(
        self,
        provider: ProviderDocument,
        expected: Expected,
        audiences: Collection[str],
        clock: Clock,
        *,
        trust_unverified_email: bool,
        fields: Callable[[Mapping[str, object], str], tuple[tuple[str, str], ...]],
    ) -> None:
        """Take what tokens must be.

        :param fields: makes what the upstream gets, of the claims and the token.
        """
        self._fields = fields
        self._trust_unverified_email = trust_unverified_email
        self._provider = provider
        self._expected = expected
        self._audiences = frozenset(audiences)
        self._clock = clock
        self._seen: VerifiedCache[tuple[Caller, float, Any]] = VerifiedCache(_REMEMBERED)

    def known(self, text: str) -> Caller | None:
        """Return whose token this is if it was verified before, and what that stood on still holds."""
        seen = self._seen.get(self._seen.digest(text))
        if seen is None or seen[1] <= self._clock.wall() or seen[2] is not self._provider.generation:
            return None
        return seen[0]

    async def check(self, text: str, client: str) -> Caller | Refusal:
        """Verify a token.

        :param client: the client's network: of each only so many may wait for keys.
        """
        if len(text) > _LONGEST:
            return Refusal(401, "token-too-large", is_bearer=True)
        try:
            token = read_token(text)
            # What needs no key comes first: a stranger's token must not make us fetch keys.
            check_bearer(token, self._expected, self._audiences, self._clock.wall())
            provider = await self._provider.has_key_for(token, client)
            if provider is None:
                return away("provider-away", self._provider.retry_after())
            check_signature(token, provider.keys)
        except RefusedTokenError as error:
            return Refusal(401, error.code, is_bearer=True)
        return self._remember(text, token)

    def _remember(self, text: str, token: Token) -> Caller:
        claims = token.claims
        shown = trusted_claims(claims, trust_unverified_email=self._trust_unverified_email)
        identity = Identity(f"{claims['iss']}|{claims['sub']}", "oidc", MappingProxyType(shown))
        caller = Caller(identity, self._fields(shown, text))
        until = claims.get("exp", math.inf) + self._expected.leeway
        weight = 600 + _BYTES_PER_CHARACTER * len(text)
        self._seen.put(self._seen.digest(text), (caller, until, self._provider.generation), weight)
        return caller
