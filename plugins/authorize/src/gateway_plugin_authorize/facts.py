"""What is known of a caller. Every look-up has three outcomes: yes, no, and not known.

A claim is not known if it is missing, if it is not of the type that the rule needs, or if the issuer says that it cut
it: Microsoft's tokens leave ``groups`` out when there are many, and have ``hasgroups``, or name the claim in
``_claim_names`` (OpenID Connect Core, section 5.6.2), instead. What is not known must not look like "no": a rule with
``not`` would let the caller pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gateway_plugin_sdk import MISSING, Identity, claim_path

from gateway_plugin_authorize.consumers import Consumer

Texts: TypeAlias = frozenset[str] | None
"""Members of a claim that is a set of texts; None if that is not known."""


def claim_reader(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that reads a claim; `MISSING` also if the issuer cut it."""
    read = claim_path(path)
    names = {path, path.partition(".")[0]}

    def read_whole(claims: Mapping[str, Any]) -> Any:
        if _is_cut(claims, names):
            return MISSING
        return read(claims)

    return read_whole


def _is_cut(claims: Mapping[str, Any], names: set[str]) -> bool:
    elsewhere = claims.get("_claim_names")
    if elsewhere is not None and (not isinstance(elsewhere, Mapping) or not names.isdisjoint(elsewhere)):
        return True
    return "groups" in names and claims.get("hasgroups", False) is not False


def members(value: object) -> Texts:
    """Return the members of a list of texts."""
    if not isinstance(value, list | tuple):
        return None
    for item in value:
        if type(item) is not str:
            return None
    return frozenset(value)


def words(value: object) -> Texts:
    """Return the words of a text (RFC 8693 section 4.2), or the members of a list of texts."""
    return frozenset(value.split()) if isinstance(value, str) else members(value)


class SetOfCaller:
    """One set of each caller: its groups, roles or scopes."""

    __slots__ = ("_cut", "_find", "_of", "_readers")

    def __init__(
        self,
        paths: tuple[str, ...],
        of: Callable[[object], Texts],
        find: Callable[[Identity], Consumer | None] | None = None,
    ) -> None:
        """Take what reads it.

        :param paths: of the claim; the first that is there counts.
        :param of: makes the set of the claim's value.
        :param find: finds the consumer whose groups count as well.
        """
        self._readers = tuple(map(claim_reader, paths))
        self._cut = {name for path in paths for name in (path, path.partition(".")[0])}
        self._of = of
        self._find = find

    def __call__(self, identity: Identity) -> Texts:
        """Return the set; None if it is not known."""
        claims = identity.claims
        if _is_cut(claims, self._cut):
            return None
        consumer = None if self._find is None else self._find(identity)
        value = next((value for read in self._readers if (value := read(claims)) is not MISSING), MISSING)
        if value is MISSING:
            return None if consumer is None else frozenset(consumer.groups)
        found = self._of(value)
        return found if found is None or consumer is None else found.union(consumer.groups)
