"""What stays as it was when documents of sources are bad: pure decisions over texts and problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway_core.config.documents import Document
from gateway_core.config.problems import ConfigProblem

Documents = Mapping[str, Document]
"""Documents by their names, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Documents to try, some of them in their last good version in place of the wanted one."""

    documents: Documents
    kept: frozenset[str] = frozenset()
    """Names whose last good version (or absence) stands in for the wanted version."""

    def without(self, problems: Collection[ConfigProblem], good: Documents) -> Trial | None:
        """Return what to try after these problems; None if nothing is left to go back to.

        A document that was never good is left out. If the problems are in documents that did not change, they come from
        one that did and that they mention, such as a new document with the id of an old route, or from one that is
        gone: then all that are gone come back.
        """
        changed = {name for name, document in self.documents.items() if document != good.get(name)}
        to_keep = {name for name in changed if any(problem.place.file == name for problem in problems)}
        if not to_keep:
            to_keep = {name for name in changed if any(f" {name}:" in problem.message for problem in problems)}
        if not to_keep:
            to_keep = good.keys() - self.documents.keys() - self.kept
        if not to_keep:
            return None
        documents = {name: document for name, document in self.documents.items() if name not in to_keep or name in good}
        documents.update({name: good[name] for name in to_keep if name in self.documents and name in good})
        for name in good:
            if name in to_keep and name not in documents:
                documents = _put_back(documents, name, good)
        return Trial(documents, self.kept | to_keep) if documents else None


def _put_back(documents: Documents, name: str, good: Documents) -> dict[str, Document]:
    """Put a document back to where it was: the order of bindings and of equal routes depends on it."""
    names, order = list(documents), list(good)
    earlier = [names.index(other) for other in order[: order.index(name)] if other in documents]
    names.insert(max(earlier, default=-1) + 1, name)
    return {each: good[name] if each == name else documents[each] for each in names}
