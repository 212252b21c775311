"""What stays as it was when documents of sources are bad: pure decisions over texts and problems.

A document that holds only routes, upstreams and their defaults is one team's: when it is bad its last good version
stays, and where there is none it is left out. Any other document counts for all (its bindings, sets, listeners or
limits are part of what other documents rely on): its last good version stays, and where there is none the change as a
whole is refused, because without it others would be served unprotected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway_core.config.documents import Document
from gateway_core.config.merge_documents import top_level_keys
from gateway_core.config.problems import ConfigProblem

TEAM_KEYS: Final = frozenset({"routes", "upstreams", "route_defaults"})
"""What a document may hold to be left out, or kept at an old version, without others."""

Documents = Mapping[str, Document]
"""Documents by their names, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Documents to try, some of them in their last good version in place of the wanted one."""

    documents: Documents
    kept: frozenset[str] = frozenset()
    """Names whose last good version (or absence) stands in for the wanted version."""

    def without(self, problems: Collection[ConfigProblem], good: Documents) -> Trial | None:
        """Return what to try after these problems; None if the change as a whole is refused.

        A bad document's last good version stands in for it; one that was never good is left out, unless it is for all.
        If the problems are in documents that did not change, they come from one that did and that is related to them,
        such as a new document with the id of an old route, or from one that is gone: then all that are gone come back.

        :param problems: what was wrong with these documents, when they were validated, prepared or started.
        :param good: what was in force last; empty at the first start.
        """
        changed = {name for name, document in self.documents.items() if document != good.get(name)}
        to_keep = changed & {problem.place.file for problem in problems}
        if not to_keep:
            to_keep = changed & {place.file for problem in problems for place in problem.related}
        if not to_keep:
            to_keep = good.keys() - self.documents.keys() - self.kept
        if not to_keep or any(name not in good and is_for_all(self.documents[name]) for name in to_keep):
            return None
        documents = {name: document for name, document in self.documents.items() if name not in to_keep or name in good}
        documents.update({name: good[name] for name in to_keep if name in self.documents and name in good})
        for name in good:
            if name in to_keep and name not in documents:
                documents = _put_back(documents, name, good)
        return Trial(documents, self.kept | to_keep)


def is_for_all(document: Document) -> bool:
    """Whether other documents depend on what this one holds, as far as its text tells."""
    keys = top_level_keys(document)
    return keys is None or not keys <= TEAM_KEYS


def _put_back(documents: Documents, name: str, good: Documents) -> dict[str, Document]:
    """Put a document back to where it was: the order of bindings and of equal routes depends on it."""
    names, order = list(documents), list(good)
    earlier = [names.index(other) for other in order[: order.index(name)] if other in documents]
    names.insert(max(earlier, default=-1) + 1, name)
    return {each: good[name] if each == name else documents[each] for each in names}
