"""What is wrong with a route's own text, said so that its author can mend it."""

from __future__ import annotations


class RuleError(ValueError):
    """A route that cannot be compiled: the message names the value and the remedy, the caller adds the place."""


class PatternError(RuleError):
    """A path, prefix or regular expression that cannot be matched."""


class HostError(RuleError):
    """A host that cannot be matched."""


class ConditionError(RuleError):
    """A header or query condition that cannot be evaluated."""


class RewriteError(RuleError):
    """A rewrite or redirect that cannot be carried out for its route."""
