"""From paths to one merged document: reads files, follows ``include``, merges.

Lists concatenate in the order of the documents; any other top-level key may be given in two documents only with equal
values.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import yaml

from gateway_core.config import json_nodes, toml_nodes, yaml_nodes
from gateway_core.config.documents import (
    NUL,
    Document,
    DocumentFormat,
    document_files,
    empty_directory_problem,
    is_directory,
    is_file,
    is_there,
    read_document,
    real_path,
)
from gateway_core.config.expansion import DEFAULTS, SetExpansion, apply_defaults
from gateway_core.config.models.base import EXTENSION
from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.problems import ConfigProblem, KeyPath, Place, format_path
from gateway_core.config.substitution import Substitution
from gateway_core.config.suggestions import kind_of, quote
from gateway_core.config.yaml_constructor import Constructor, Locator, ReportNode, lookup, node_place
from gateway_core.config.yaml_nodes import MAP_TAG, SEQ_TAG, DocumentSyntaxError

_OF_SETS: Final = re.compile(r"\\|\buse\b|plugin_sets")
"""Finds what sets begin with, or an escape that it may be written with."""

_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_GLOB: Final = re.compile(r"[*?\[]")
LOCAL_KEYS: Final = frozenset({"admin", "sources"})
"""What documents of sources cannot set: who may administer the gateway, and where its configuration comes from."""
_REREAD: Final = 0.05
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_OWN_KEYS: Final = "|".join(sorted([*GatewayConfig.model_fields, "include"]))
_OWN_KEY: Final = re.compile(rf"""(?:^|[\s{{,\["'])(?:{_OWN_KEYS})["']? ?[:=\].]""")


@dataclass(slots=True)
class Gatherer:
    """Collects documents, what they include, and what is wrong with them."""

    substitution: Substitution
    problems: list[ConfigProblem] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    roots: list[yaml.MappingNode] = field(default_factory=list)
    includes: list[object] = field(default_factory=list)
    is_complete: bool = True
    """False once a document could not be read or parsed: then nothing can be said about names it may define."""
    patience: float = 0.0
    """Seconds for which a file that cannot be read as a document is read again: it may be being written."""
    has_sets: bool = False
    """Whether a document may define or use sets of bindings."""
    sets: SetExpansion | None = None
    """What became of ``use``, once documents are merged."""
    displaced_defaults: dict[int, yaml.Node] = field(default_factory=dict)
    """Defaults by the ``id`` of the nodes of routes that have ``plugins`` of their own instead."""
    _documents: dict[str, Document] = field(default_factory=dict)
    _loaded: set[Path] = field(default_factory=set)
    _reported: set[tuple[int, str]] = field(default_factory=set)

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Read files, and directories of files."""
        try:
            files, directories = document_files(paths)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            self._fail(ConfigProblem(Place(str(error.filename)), "", message, code="file.unreadable"))
            return
        self.directories.extend(directories)
        # A directory below may well hold none: certificates, or further directories.
        for directory in [path for path in paths if path in directories]:
            if not any(directory in file.parents for file in files):
                self._fail(empty_directory_problem(directory))
        for file in files:
            self._add_file(file, ())

    def add_document(self, document: Document, parents: tuple[Path, ...] = ()) -> None:
        """Parse a document and what it includes."""
        # Lines of what is none are shown nowhere: who names a file of secrets by mistake must not find them in a log.
        is_ours = looks_like_configuration(document.text)
        self.texts[document.name] = _LINE_BREAK.split(document.text) if is_ours else []
        self._documents[document.name] = document
        self.has_sets = self.has_sets or _OF_SETS.search(document.text) is not None
        try:
            roots = _compose(document)
        except DocumentSyntaxError as error:
            self._fail(self._problem(error.place, (), error.reason, code="document.syntax", remedy=error.remedy))
            return
        # Between two lines of "---" there may be nothing, or only comments.
        for root in [root for root in roots if not _is_null(root)] or [*roots[:1], None][:1]:
            self._add_root(document, root, parents, is_ours=is_ours)

    def _add_root(
        self, document: Document, root: yaml.Node | None, parents: tuple[Path, ...], *, is_ours: bool
    ) -> None:
        place = Place(document.name, 1, 1) if root is None else node_place(root)
        if isinstance(root, yaml.MappingNode) and not is_ours and not _has_plain_keys(root):
            message = "is no configuration, as it has none of its keys"
            remedy = "write a mapping of keys such as routes"
            self._fail(self._problem(place, (), message, code="document.not-a-mapping", remedy=remedy))
        elif isinstance(root, yaml.MappingNode):
            if not document.is_local:
                self._ignore_local_keys(root)
            if lookup(root, DEFAULTS) is not None:
                self.displaced_defaults |= apply_defaults(root, self.report)
            self.roots.append(root)
            self._follow_includes(root, document.directory, parents)
        elif root is None or _is_null(root):
            message = "is empty"
            self._fail(
                ConfigProblem(
                    place, "", message, code="document.empty", remedy="write at least a route, or remove the file"
                )
            )
        else:
            kind = kind_of([]) if isinstance(root, yaml.SequenceNode) else kind_of("")
            remedy = "write a mapping of keys such as routes"
            self._fail(self._problem(place, (), f"is {kind}", code="document.not-a-mapping", remedy=remedy))

    def _ignore_local_keys(self, root: yaml.MappingNode) -> None:
        """Take out what counts in local files only, and say so."""
        for key, _ in [pair for pair in root.value if pair[0].value in LOCAL_KEYS]:
            place = node_place(key)
            message = f"{key.value} is ignored here, it counts in files of this machine only"
            remedy = "move it to one"
            problem = self._problem(place, (str(key.value),), message, code="source.key-ignored", remedy=remedy)
            self.problems.append(replace(problem, severity="warning"))
        root.value = [pair for pair in root.value if pair[0].value not in LOCAL_KEYS]

    def document_of(self, name: str) -> Document:
        """Return a document by its name; one without rights if there is none."""
        return self._documents.get(name) or Document(name, "")

    def report(
        self,
        node: yaml.Node,
        path: KeyPath,
        message: str,
        *,
        code: str,
        remedy: str = "",
        related: Iterable[Place] = (),
    ) -> None:
        """Take in a problem that was found while values were made."""
        if (id(node), message) in self._reported:
            return  # The same text reached through another alias.
        self._reported.add((id(node), message))
        problem = self._problem(node_place(node), path, message, code=code, remedy=remedy)
        self.problems.append(replace(problem, related=tuple(related)))

    def merged(self) -> Locator:
        """Return the merged document."""
        root = merge_roots(self.roots, self.report, self._quiet_constructor())
        if self.has_sets:
            self.sets = SetExpansion(self.report)
            self.sets.run(root)
        return Locator(root, self.texts)

    def _add_file(self, path: Path, parents: tuple[Path, ...]) -> None:
        resolved = real_path(path)
        if resolved in self._loaded:
            return
        self._loaded.add(resolved)
        self.files.append(path)
        document = _read_settled(path, self.patience)
        if isinstance(document, ConfigProblem):
            self._fail(document)
        else:
            self.add_document(document, (*parents, resolved))

    def _follow_includes(self, root: yaml.MappingNode, directory: Path | None, parents: tuple[Path, ...]) -> None:
        node = next((value for key, value in root.value if key.value == "include"), None)
        if node is None:
            return
        constructor = Constructor(self.substitution, self.report, self.document_of)
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in items:
            pattern = constructor.construct(item, ("include",))
            if not isinstance(pattern, str) or not pattern:
                message = f"is {kind_of(pattern)}, where a file name or pattern is expected"
                self.report(item, ("include",), message, code="value.wrong-type")
            elif directory is None:
                message = "only a document that is a file can include others"
                self.report(item, ("include",), message, code="include.not-allowed")
            elif "\0" in pattern:
                self.report(item, ("include",), NUL, code="value.invalid", remedy="leave it out")
            else:
                self.includes.append(pattern)
                self._include(item, directory, pattern, parents)

    def _include(self, node: yaml.Node, directory: Path, pattern: str, parents: tuple[Path, ...]) -> None:
        is_glob = bool(_GLOB.search(pattern))
        # A file that appears later in one of these folders changes the configuration.
        if is_glob:
            self.directories.extend(pattern_directories(directory, pattern))
        for path in _matches(directory, pattern) if is_glob else [directory / pattern]:
            if real_path(path) in parents:
                if not is_glob:
                    message = f"{quote(pattern)} includes itself"
                    self.report(node, ("include",), message, code="include.cycle", remedy="remove one of the includes")
            elif not is_glob and not is_there(path):
                self.files.append(path)
                self.is_complete = False
                self.report(node, ("include",), f"the file {quote(str(path))} does not exist", code="file.missing")
            else:
                self._add_file(path, parents)

    def _quiet_constructor(self) -> Constructor:
        return Constructor(self.substitution, lambda *_, **__: None, self.document_of)

    def _problem(self, place: Place, path: KeyPath, message: str, *, code: str, remedy: str = "") -> ConfigProblem:
        lines = self.texts.get(place.file, [])
        excerpt = lines[place.line - 1] if 0 < place.line <= len(lines) else None
        return ConfigProblem(place, format_path(path), message, excerpt, code=code, remedy=remedy)

    def _fail(self, problem: ConfigProblem) -> None:
        self.is_complete = False
        self.problems.append(problem)


def _compose(document: Document) -> list[yaml.Node]:
    text = document.text.removeprefix("\ufeff")  # a source may give a byte order mark, too
    match document.format:
        case DocumentFormat.TOML:
            root = toml_nodes.compose(document.name, text)
        case DocumentFormat.JSON:
            root = json_nodes.compose(document.name, text)
        case _:
            return yaml_nodes.compose_all(document.name, text)
    return [] if root is None else [root]


def _read_settled(path: Path, patience: float) -> Document | ConfigProblem:
    """Read a document; one that is empty or cut off is read again for a while, since it may be being written."""
    deadline = time.monotonic() + patience
    while True:
        document = read_document(path)
        if time.monotonic() >= deadline or _is_complete(document):
            return document
        time.sleep(_REREAD)


def _is_complete(document: Document | ConfigProblem) -> bool:
    if isinstance(document, ConfigProblem):
        return document.code != "file.not-utf8"
    try:
        return any(not _is_null(root) for root in _compose(document))
    except DocumentSyntaxError:
        return False


def top_level_keys(document: Document) -> frozenset[str] | None:
    """Return the keys of a document, without looking at their values; None if it cannot be read."""
    try:
        roots = [root for root in _compose(document) if not _is_null(root)]
    except DocumentSyntaxError:
        return None
    if not roots or not all(isinstance(root, yaml.MappingNode) for root in roots):
        return None
    keys = [key for root in roots for key, _ in root.value]
    return frozenset(str(key.value) if isinstance(key, yaml.ScalarNode) else "" for key in keys)


def looks_like_configuration(text: str) -> bool:
    """Whether a text has a key of a configuration somewhere, however broken it is."""
    return _OWN_KEY.search(text) is not None


def _has_plain_keys(root: yaml.MappingNode) -> bool:
    """Whether the keys are names that may be shown; a line of another kind of file may end in a colon."""
    return all(isinstance(key, yaml.ScalarNode) and _NAME.fullmatch(str(key.value)) for key, _ in root.value)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == yaml_nodes.PLAIN_TAG and node.value in {"", "~", "null"}


def pattern_directories(directory: Path, pattern: str) -> list[Path]:
    """Return the directories in which a new entry may match a pattern, those on the way to its files included."""
    *steps, name = Path(pattern).parts
    current, found = [directory], []
    for step in [*steps, *([name] if name == "**" else [])]:
        if step == "**":
            current = [inner for each in current for inner in _below(each)]
            found += current
        elif _GLOB.search(step):
            found += current
            current = [inner for each in current for inner in sorted(each.glob(step)) if is_directory(inner)]
        else:
            current = [each / step for each in current]
    return list(dict.fromkeys([*found, *current]))


def _below(directory: Path) -> list[Path]:
    """Return a directory and all that are below it, without hidden ones."""
    found = [directory]
    for path, names, _ in os.walk(directory):
        names[:] = sorted(name for name in names if not name.startswith("."))
        found += [Path(path) / name for name in names]
    return found


def _matches(directory: Path, pattern: str) -> list[Path]:
    found = glob.glob(pattern, root_dir=directory, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    return [path for path in (directory / name for name in sorted(found)) if is_file(path)]


def merge_roots(roots: Iterable[yaml.MappingNode], report: ReportNode, constructor: Constructor) -> yaml.MappingNode:
    """Merge the top levels of documents; ``include`` is left out, it has been followed."""
    merged: dict[object, tuple[yaml.Node, yaml.Node]] = {}
    owners: dict[object, int] = {}
    rest: list[tuple[yaml.Node, yaml.Node]] = []
    marks = None
    for number, root in enumerate(roots):
        marks = marks or (root.start_mark, root.end_mark)
        for key, value in root.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                rest.append((key, value))  # no key at all: the constructor says so
                continue
            if key.value == "include" or key.value.startswith(EXTENSION):
                continue
            first = merged.get(key.value)
            is_same_document = owners.get(key.value) == number
            owners[key.value] = number
            if first is None:
                # Each document has its own defaults, which hold for its own routes.
                merged[key.value] = (key, _listed(value) if key.value == DEFAULTS else value)
            elif is_same_document:
                rest.append((key, value))  # twice in one document: the constructor says so
            elif (both := _concatenated(key.value, first[1], value)) is not None:
                merged[key.value] = (first[0], both)
            elif constructor.construct(first[1]) != constructor.construct(value):
                message = f"is given again with another value than at {node_place(first[1])}"
                related = [node_place(first[1])]
                report(
                    value,
                    (str(key.value),),
                    message,
                    code="document.conflict",
                    related=related,
                    remedy="keep one of them",
                )
    start, end = marks or (yaml.Mark("", 0, 0, 0, None, 0),) * 2
    return yaml.MappingNode(MAP_TAG, [*merged.values(), *rest], start, end)


def _concatenated(key: str, first: yaml.Node, second: yaml.Node) -> yaml.SequenceNode | None:
    are_lists = [isinstance(node, yaml.SequenceNode) for node in (first, second)]
    if not (all(are_lists) or (any(are_lists) and key in {"listen", DEFAULTS})):
        return None
    items = [item for node in (first, second) for item in _items(node)]
    return yaml.SequenceNode(SEQ_TAG, items, first.start_mark, first.end_mark)


def _listed(node: yaml.Node) -> yaml.Node:
    return yaml.SequenceNode(SEQ_TAG, [node], node.start_mark, node.end_mark)


def _items(node: yaml.Node) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
