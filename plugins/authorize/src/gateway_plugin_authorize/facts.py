"""What is known of a caller. Every look-up has three outcomes: yes, no, and not known.

A claim is not known if it is missing, if it is not of the type that the rule needs, or if the issuer says that it cut
it: Microsoft's tokens leave ``groups`` out when there are many, and have ``hasgroups``, or name the claim in
``_claim_names`` (OpenID Connect Core, section 5.6.2), instead. What is not known must not look like "no": a rule with
``not`` would let the caller pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway_plugin_sdk import MISSING, Identity, Request, claim_path

from gateway_plugin_authorize.consumers import Consumer


def claim_reader(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that reads a claim; `MISSING` also if the issuer cut it."""
    read = claim_path(path)
    names = top_level_names(path)
    may_be_hidden = "groups" in names

    def read_whole(claims: Mapping[str, Any]) -> Any:
        # The marks of cut claims are rare: what they mark is looked at only if there is one.
        if ("_claim_names" in claims or (may_be_hidden and "hasgroups" in claims)) and _is_cut(claims, names):
            return MISSING
        return read(claims)

    return read_whole


def top_level_names(path: str) -> set[str]:
    """Return the names of the claims that a path may begin with (`claim_path`): these an issuer may have cut."""
    if "\\" in path:
        first = path.replace(r"\\", "\0").replace(r"\.", "\1").partition(".")[0]
        return {path, first.replace("\0", "\\").replace("\1", ".")}
    parts = path.split(".")
    return {".".join(parts[:number]) for number in range(1, len(parts) + 1)}


def _is_cut(claims: Mapping[str, Any], names: set[str]) -> bool:
    elsewhere = claims.get("_claim_names")
    if elsewhere is not None and (not isinstance(elsewhere, Mapping) or not names.isdisjoint(elsewhere)):
        return True
    return "groups" in names and claims.get("hasgroups", False) is not False


def members(value: object) -> Sequence[str] | None:
    """Return the members of a list of texts."""
    # The usual type first: the look at several costs more than the rest.
    if type(value) is not list and not isinstance(value, list | tuple):
        return None
    try:
        "".join(value)  # the quickest way to see that each is a text
    except TypeError:
        return None
    return value


def words(value: object) -> Sequence[str] | None:
    """Return the words of a text (RFC 8693 section 4.2), or the members of a list of texts."""
    return value.split() if isinstance(value, str) else members(value)


class SetOfCaller:
    """One set of each caller: its groups, roles or scopes."""

    __slots__ = ("_cut", "_find", "_of", "_paths", "_readers")

    def __init__(
        self,
        paths: tuple[str, ...],
        of: Callable[[object], Sequence[str] | None],
        find: Callable[[Identity], Consumer | None] | None = None,
    ) -> None:
        """Take what reads it.

        :param paths: of the claim; the first that is there counts.
        :param of: makes texts of the claim's value.
        :param find: finds the consumer whose groups count as well.
        """
        self._paths = paths
        self._readers = tuple(map(claim_path, paths))
        self._cut = {name for path in paths for name in top_level_names(path)}
        self._of = of
        self._find = find

    def condition(self, names: frozenset[str]) -> Callable[[Request], bool | None]:
        """Return a function that returns whether one of the names is in the set of a request's caller, as `has_any`.

        What is usual needs no further call: a claim of the first path, at the top level, and nothing that was cut.
        """
        has_any, name, join = self.has_any, self._paths[0], "".join
        may_be_hidden, splits = "groups" in self._cut, self._of is words
        if self._find is not None or "." in name or "\\" in name:

            def holds(request: Request) -> bool | None:
                identity = request.identity
                return None if identity is None else has_any(names, identity)

            return holds

        def holds_at_once(request: Request) -> bool | None:
            identity = request.identity
            if identity is None:
                return None
            claims = identity.claims
            if "_claim_names" in claims or (may_be_hidden and "hasgroups" in claims):
                return has_any(names, identity)
            value = claims.get(name)
            if type(value) is list:
                try:
                    join(value)  # as `members` does
                except TypeError:
                    return None
                return not names.isdisjoint(value)
            if splits and type(value) is str:
                return not names.isdisjoint(value.split())
            return has_any(names, identity)

        return holds_at_once

    def has_any(self, names: frozenset[str], identity: Identity) -> bool | None:
        """Return whether one of the names is in a caller's set; None if that is not known."""
        claims = identity.claims
        if _is_cut(claims, self._cut):
            return None
        consumer = None if self._find is None else self._find(identity)
        for read in self._readers:
            value = read(claims)
            if value is not MISSING:
                found = self._of(value)
                break
        else:
            found = None if consumer is None else ()
        if found is None:
            return None
        return not names.isdisjoint(found) or (consumer is not None and not names.isdisjoint(consumer.groups))
