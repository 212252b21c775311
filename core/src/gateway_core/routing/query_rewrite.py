"""What an upstream gets of the query: parameters left out and set, all others to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway_core.routing.problems import RewriteError

_PARAMETER: Final = re.compile(r"[:*]([A-Za-z_][A-Za-z0-9_-]*)")
"""A value that stands for a parameter of path or host: the whole value, as ``a:b`` is a text that people set."""
_FOREIGN: Final = re.compile(r"\$\w+|\$?\{\w[^{}]*\}")


@dataclass(frozen=True, slots=True)
class QueryRewrite:
    """A compiled rewrite of the query."""

    dropped: frozenset[str]
    """Decoded names of the parameters that do not go on as they came."""
    added: str
    """The parameters that are set, encoded; empty if none is. What is from the request is a field of ``%s``."""
    params: tuple[str, ...] = ()
    """Names of the parameters of path and host that stand in ``added``, in order."""
    kept: frozenset[str] | None = None
    """Decoded names of the only parameters that go on as they came; None for all."""

    def apply(self, query: str, params: Mapping[str, str] = {}) -> str:
        """Return the query that goes upstream.

        :param query: as it was sent, without the ``?``. Names are compared decoded as a form's, so that another
            spelling of a name (``%64ebug``) does not bring a parameter past the rewrite.
        :param params: what path and host of the request captured.
        """
        if query:
            pairs = query.split("&")
            kept, dropped = self.kept, self.dropped
            going_on = [
                pair
                for pair in pairs
                if (name := unquote_plus(pair.partition("=")[0])) not in dropped and (kept is None or name in kept)
            ]
            if len(going_on) < len(pairs):
                query = "&".join(going_on)
        added = self.added
        if not added:
            return query
        if self.params:
            added %= tuple([quote(params.get(name, ""), safe="") for name in self.params])
        return f"{query}&{added}" if query else added


def compile_query_rewrite(
    remove: Iterable[str], set_: Mapping[str, str], captured: Iterable[str] = (), keep: Iterable[str] | None = None
) -> QueryRewrite | None:
    """Compile a rewrite of the query: first ``keep`` and ``remove``, then ``set_``; None if it changes nothing.

    Names and values are texts; what a query cannot hold is encoded as UTF-8, a space as ``%20``. A value that is
    ``:name`` or ``*name`` stands for what the request has for that parameter of path or host.

    :param keep: the only parameters that go on, None for all.
    :param captured: names of the parameters of the route's paths and hosts.
    :raises RewriteError: a value names a parameter that there is not, or is what stands for one elsewhere.
    """
    dropped = frozenset({*remove, *set_})
    kept = None if keep is None else frozenset(keep)
    if not dropped and kept is None:
        return None
    known = tuple(captured)
    params: list[str] = []
    pairs = []
    for name, value in set_.items():
        found = _PARAMETER.fullmatch(value)
        if found is not None:
            if found[1] not in known:
                names = ", ".join(repr(each) for each in known) or "none"
                raise RewriteError(f"query parameter {name!r} names the parameter {found[1]!r}, the route has {names}")
            params.append(found[1])
        elif _FOREIGN.fullmatch(value):
            raise RewriteError(
                f"query parameter {name!r} is {value!r}, which would be sent literally",
                remedy="write :name for a parameter of the route's path, or a group (?P<name>...) of its path_regex",
            )
        pairs.append((quote(name, safe=""), None if found is not None else quote(value, safe="")))
    if not params:
        return QueryRewrite(dropped, "&".join([f"{name}={value}" for name, value in pairs]), kept=kept)
    texts = [f"{name}={'%s' if value is None else value}" for name, value in _doubled(pairs)]
    return QueryRewrite(dropped, "&".join(texts), tuple(params), kept)


def _doubled(pairs: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Return encoded pairs for a template of ``%``, which are full of that character."""
    return [(name.replace("%", "%%"), None if value is None else value.replace("%", "%%")) for name, value in pairs]
