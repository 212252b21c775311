"""What stays as it was when documents of sources are bad: decided purely, over texts and problems.

A document that holds only routes, upstreams and their defaults is one team's: when it is bad its last good version
stays, and where there is none it is left out. Any other document counts for all (its bindings, sets, listeners or
limits are part of what other documents rely on): its last good version stays, and where there is none the change as a
whole is refused, because without it others would be served unprotected.

A document that cannot be parsed has no keys, but its lines may leave no doubt: in YAML's block style each top-level key
begins a line at the margin. If no line there, nor one that may have slipped in by a few spaces, names anything that
counts for all, it is one team's as well. JSON, TOML and a mapping in braces have no margin, so there it stays open.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway_core.config import ConfigProblem, Document, GatewayConfig
from gateway_core.config.documents import DocumentFormat
from gateway_core.config.merge_documents import top_level_keys

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
    """Whether other documents depend on what this one holds, as far as its text shows."""
    keys = top_level_keys(document)
    if keys is not None:
        return not keys <= TEAM_KEYS
    return document.format is not DocumentFormat.YAML or not _has_team_margin(document.text)


_KEYS_FOR_ALL: Final = frozenset({*GatewayConfig.model_fields, "include"}) - TEAM_KEYS
_WORD: Final = re.compile(r"[\w-]+")
_FARTHEST: Final = 1000


def _has_team_margin(text: str) -> bool:
    """Whether a broken YAML document names at its margin what one team has, and nothing else.

    A key that is no deeper than the items of lists may have been meant to be at the margin.
    """
    lines = [
        (len(line) - len(content), content.rstrip())
        for line in text.removeprefix("\ufeff").splitlines()
        if (content := line.lstrip(" \t")).strip() and not content.startswith("#") and not _is_end(content)
    ]
    if not lines or lines[0][0] > 0 or not _begins_with_team_key(lines[0][1]):
        return False
    items = min((indent for indent, content in lines if _is_item(content)), default=_FARTHEST)
    for indent, content in lines:
        if indent > items or _is_item(content):
            continue
        if not _KEYS_FOR_ALL.isdisjoint(_WORD.findall(content)):
            return False
        if indent == 0 and not _begins_with_team_key(content):
            return False
    return True


def _is_end(content: str) -> bool:
    """Whether a line only ends what lines before it have begun."""
    text = content.partition("#")[0].strip()
    return text == "---" or not text.strip("]}")


def _is_item(content: str) -> bool:
    return content == "-" or content.startswith(("- ", "-\t"))


def _begins_with_team_key(content: str) -> bool:
    key, colon, value = content.partition(":")
    return bool(colon) and key.rstrip() in TEAM_KEYS and value[:1] in {"", " ", "\t"}


def _put_back(documents: Documents, name: str, good: Documents) -> dict[str, Document]:
    """Put a document back to where it was: the order of bindings and of equal routes depends on it."""
    names, order = list(documents), list(good)
    earlier = [names.index(other) for other in order[: order.index(name)] if other in documents]
    names.insert(max(earlier, default=-1) + 1, name)
    return {each: good[name] if each == name else documents[each] for each in names}
