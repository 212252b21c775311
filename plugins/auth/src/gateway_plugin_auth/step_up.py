"""How a user must have logged in, and the challenge that asks for a better login (RFC 9470)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway_plugin_auth.refusals import Refusal


@dataclass(frozen=True, slots=True)
class StepUp:
    """What a token must say of the login. Times are seconds."""

    acr_values: tuple[str, ...]
    max_age: float | None
    leeway: float

    def refusal(self, claims: Mapping[str, Any], now: float) -> Refusal | None:
        """Return the refusal of a token whose user must log in again, or None."""
        if self.acr_values and claims.get("acr") not in self.acr_values:
            return self._refusal("acr")
        if self.max_age is not None and now >= self.until(claims):
            return self._refusal("auth-time")
        return None

    def until(self, claims: Mapping[str, Any]) -> float:
        """Return the moment from which the login is too old, in seconds since the epoch."""
        if self.max_age is None:
            return math.inf
        logged_in = claims.get("auth_time")
        if not isinstance(logged_in, int | float) or isinstance(logged_in, bool) or not abs(logged_in) <= 2**53:
            return -math.inf
        return logged_in + self.max_age + self.leeway

    def _refusal(self, reason: str) -> Refusal:
        parameters: dict[str, str] = {}
        if self.acr_values:
            parameters["acr_values"] = " ".join(self.acr_values)
        if self.max_age is not None:
            parameters["max_age"] = str(int(self.max_age))
        return Refusal(reason, "insufficient_user_authentication", parameters=tuple(parameters.items()))
