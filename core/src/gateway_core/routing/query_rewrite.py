"""What an upstream gets of the query: parameters left out and set, all others to the letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus


@dataclass(frozen=True, slots=True)
class QueryRewrite:
    """A compiled rewrite of the query."""

    dropped: frozenset[str]
    """Decoded names of the parameters that do not go on as they came."""
    added: str
    """The parameters that are set, encoded; empty if none is."""

    def apply(self, query: str) -> str:
        """Return the query that goes upstream.

        :param query: as it was sent, without the ``?``. Names are compared decoded as a form's, so that another
            spelling of a name (``%64ebug``) does not bring a parameter past the rewrite.
        """
        if query:
            pairs = query.split("&")
            kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) not in self.dropped]
            if len(kept) < len(pairs):
                query = "&".join(kept)
        if not self.added:
            return query
        return f"{query}&{self.added}" if query else self.added


def compile_query_rewrite(remove: Iterable[str], set_: Mapping[str, str]) -> QueryRewrite | None:
    """Compile a rewrite of the query: first ``remove``, then ``set_``; None if it changes nothing.

    Names and values are texts; what a query cannot hold is encoded as UTF-8, a space as ``%20``.
    """
    dropped = frozenset({*remove, *set_})
    if not dropped:
        return None
    return QueryRewrite(dropped, "&".join([f"{quote(name, safe='')}={quote(set_[name], safe='')}" for name in set_]))
