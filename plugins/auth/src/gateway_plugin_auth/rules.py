"""Rules on what was said of a caller: claims anywhere in the document, scopes and roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway_plugin_sdk import ClaimReader, Pattern

_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")
"""RFC 6749 section 3.3."""


def is_same(left: object, right: object) -> bool:
    """Compare as JSON does, at every level: true is not 1."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_same(value, right[name]) for name, value in left.items())
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def is_any_of(value: object, items: Iterable[object]) -> bool:
    """Return whether a claim, or a member of a list, is one of some JSON values."""
    each = [value, *value] if isinstance(value, list | tuple) else [value]
    return any(is_same(one, item) for item in items for one in each)


def texts_of(value: object) -> Sequence[str]:
    """Return the members of a set-like claim: a list of texts, or one text with spaces (RFC 8693 section 4.2)."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list | tuple):
        return [item for item in value if isinstance(item, str)]
    return ()


def contains(value: object, wanted: object) -> bool:
    """Say whether a list has a member, or a text with spaces has a word."""
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value.split()
    return isinstance(value, list | tuple) and any(is_same(item, wanted) for item in value)


def matches(value: object, pattern: Pattern) -> bool:
    """Say whether a text, or a member of a list, matches a pattern from end to end.

    :raises TextTooLongError: a text is too long for the pattern; the request is refused with 431.
    """
    if isinstance(value, list | tuple):
        return any(matches(item, pattern) for item in value if isinstance(item, str))
    return isinstance(value, str) and pattern.fullmatch(value, "field") is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on one claim; a claim that is not there meets none, unless the rule is that it must not be."""

    read: ClaimReader
    test: Callable[[Any], bool]

    def holds(self, claims: Mapping[str, Any]) -> bool:
        return self.test(self.read(claims))


@dataclass(frozen=True, slots=True)
class SetRule:
    """What a set-like claim, such as scopes or roles, must have: all of these and one of those."""

    readers: tuple[ClaimReader, ...]
    every: frozenset[str] = frozenset()
    some: frozenset[str] = frozenset()

    def holds(self, claims: Mapping[str, Any]) -> bool:
        held = {text for read in self.readers for text in texts_of(read(claims))}
        return self.every <= held and (not self.some or bool(self.some & held))


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Everything that a known caller must meet."""

    scopes: SetRule | None = None
    roles: SetRule | None = None
    claims: tuple[Rule, ...] = ()

    def problem(self, claims: Mapping[str, Any]) -> str | None:
        """Return ``scope``, ``role`` or ``claim``, whatever is the first that is not met, or None."""
        if self.scopes is not None and not self.scopes.holds(claims):
            return "scope"
        if self.roles is not None and not self.roles.holds(claims):
            return "role"
        if self.claims and not all(rule.holds(claims) for rule in self.claims):
            return "claim"
        return None

    @property
    def scope_needed(self) -> str:
        """The scopes to name in a refusal (RFC 6750 section 3): of a rule's texts those that a client can ask for."""
        texts = sorted(self.scopes.every | self.scopes.some) if self.scopes is not None else ()
        return " ".join(text for text in texts if _SCOPE.fullmatch(text) is not None)
