"""Errors in a route's configuration; each message names the value and the remedy."""

from __future__ import annotations

from typing import ClassVar


class RuleError(ValueError):
    """A route that cannot be compiled: the message names the value and the remedy, the caller adds the place."""

    code: ClassVar[str] = "route.invalid"


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
