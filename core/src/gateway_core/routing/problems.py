"""Errors in a route's configuration."""

from __future__ import annotations

from typing import ClassVar


class RuleError(ValueError):
    """A route that cannot be compiled: says what is wrong and what to do; the caller adds the place.

    As a text it is the reason with the remedy behind it.
    """

    code: ClassVar[str] = "route.invalid"

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


class PatternError(RuleError):
    """A path, prefix or regular expression that cannot be matched."""

    code = "route.path-invalid"


class SlowRegexError(PatternError):
    """A regular expression that is too slow for texts of any useful length."""

    code = "regex.slow"


class HostError(RuleError):
    """A host that cannot be matched."""

    code = "route.host-invalid"


class ConditionError(RuleError):
    """A header or query condition that cannot be evaluated."""

    code = "route.condition-invalid"


class RewriteError(RuleError):
    """A rewrite or redirect that cannot be carried out for its route."""

    code = "route.rewrite-invalid"
