"""The operations of a document: which one a request is for, and its parameters and bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from gateway_openapi.documents import DocumentError, read_document
from gateway_openapi.servers import server_paths
from gateway_openapi.templates import PathOperations

from gateway_plugin_validate.bodies import Bodies
from gateway_plugin_validate.files import Files, Place
from gateway_plugin_validate.parameters import Parameter
from gateway_plugin_validate.schemas import Schemas, Version

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_NAME: Final = re.compile(r"\{([^{}]*)\}")
_DELIMITERS: Final = ",;=."


class DeclaredResponse(NamedTuple):
    """What a response must be."""

    bodies: Bodies
    fields: Sequence[Parameter]


@dataclass(slots=True)
class Operation:
    """One method of one path."""

    place: str
    """Where it is in the document, such as ``paths./users.get``."""
    template: Sequence[str] = ()
    """Segments of its path."""
    path: list[Parameter] = field(default_factory=list)
    query: list[Parameter] = field(default_factory=list)
    header: list[Parameter] = field(default_factory=list)
    cookie: list[Parameter] = field(default_factory=list)
    body: Bodies | None = None
    responses: Mapping[str, DeclaredResponse] = field(default_factory=dict)
    """By status, ``2XX`` or ``default``; empty unless responses are validated."""
    _captures: list[tuple[int, str, str]] = field(init=False)
    """Segments with parameters, counted from the end: the name if that is all, and the segment's template."""

    def __post_init__(self) -> None:
        self._captures = []
        for index, segment in enumerate(self.template, -len(self.template)):
            if "{" in segment:
                whole = _NAME.fullmatch(segment)
                self._captures.append((index, whole[1] if whole else "", segment))

    def add(self, parameters: Iterable[Parameter]) -> None:
        """Add parameters."""
        for parameter in parameters:
            if not parameter.is_ignored:
                getattr(self, parameter.where).append(parameter)

    def path_texts(self, segments: Sequence[str]) -> dict[str, list[str]]:
        """Return what a path has for the parameters of its template, as it was sent.

        :param segments: the last of them are those of the template.
        """
        found: dict[str, list[str]] = {}
        for index, whole, name_of in self._captures:
            segment = segments[index]
            for name, text in [(whole, segment)] if whole else _captured(name_of, unquote(segment)):
                found[name] = [text]
        return found


def _captured(template: str, segment: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a segment that has text, too: the shortest that fit, one after the other."""
    literals, names = _NAME.split(template)[::2], _NAME.findall(template)
    end = len(segment) - len(literals[-1])
    start = len(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        stop = end if name == names[-1] else segment.find(literal, start + 1)
        yield name, quote(segment[start:stop], safe=_DELIMITERS)
        start = stop + len(literal)


class Api:
    """A document, compiled."""

    def __init__(self, document: Mapping[str, Any], file: Path, *, refuse_read_only: bool, responses: bool) -> None:
        """Compile a document.

        :raises DocumentError: something of it cannot be used; the text has the place.
        """
        self.files: Final = Files(file, document)
        version: Version = "3.0" if str(document["openapi"]).startswith("3.0") else "3.1"
        self._schemas = Schemas(self.files, version, refuse_read_only=refuse_read_only)
        self._with_responses = responses
        self._paths: PathOperations[Operation] = PathOperations()
        self._bases = server_paths(document)
        for path, node in document["paths"].items():
            if path.startswith("/"):
                item, place = self.files.resolve(node, self.files.main.child("paths", path))
                self._paths.add(path, dict(self._operations(path, item, place)))

    def find(self, segments: Sequence[str]) -> Mapping[str, Operation] | None:
        """Return the operations of a path by their methods.

        :param segments: as they were sent, escapes included.
        """
        texts = [unquote(segment) if "%" in segment else segment for segment in segments]
        for base in self._bases:
            if not base or texts[: len(base)] == base:
                found = self._paths.find(texts[len(base) :] if base else texts)
                if found is not None:
                    return found
        return None

    def _operations(self, path: str, item: Any, place: Place) -> Iterator[tuple[str, Operation]]:
        if not isinstance(item, dict):
            raise DocumentError(f"{place} has no operations: write a mapping, such as get: {{...}}")
        shared = self._parameters(item, place)
        for method in METHODS:
            node = item.get(method.lower())
            if isinstance(node, dict):
                yield method, self._operation(path, method, node, place.child(method.lower()), shared)

    def _operation(
        self, path: str, method: str, node: Mapping[str, Any], place: Place, shared: Mapping[tuple[str, str], Parameter]
    ) -> Operation:
        operation = Operation(f"paths.{path}.{method.lower()}", path.split("/")[1:])
        operation.add({**shared, **self._parameters(node, place)}.values())
        if missing := {each.name for each in operation.path} - set(_NAME.findall(path)):
            raise DocumentError(f"{place} has path parameters that are not in its path: {', '.join(sorted(missing))}")
        if "requestBody" in node:
            body, where = self.files.resolve(node["requestBody"], place.child("requestBody"))
            operation.body = Bodies(self._schemas, body if isinstance(body, dict) else {}, where, "request")
        if self._with_responses:
            operation.responses = dict(self._responses(node.get("responses"), place.child("responses")))
        return operation

    def _parameters(self, node: Mapping[str, Any], place: Place) -> dict[tuple[str, str], Parameter]:
        made: dict[tuple[str, str], Parameter] = {}
        listed = node.get("parameters")
        for index, each in enumerate(listed if isinstance(listed, list) else ()):
            found, where = self.files.resolve(each, place.child("parameters", index))
            if not isinstance(found, dict):
                raise DocumentError(f"{where} is no parameter: write a mapping")
            parameter = Parameter(self._schemas, found, where)
            made[parameter.where, parameter.name] = parameter
        return made

    def _responses(self, node: Any, place: Place) -> Iterator[tuple[str, DeclaredResponse]]:
        for status, each in (node if isinstance(node, dict) else {}).items():
            found, where = self.files.resolve(each, place.child(status))
            if isinstance(found, dict):
                fields = [*self._fields(found.get("headers"), where.child("headers"))]
                yield status.upper(), DeclaredResponse(Bodies(self._schemas, found, where, "response"), fields)

    def _fields(self, node: Any, place: Place) -> Iterator[Parameter]:
        for name, each in (node if isinstance(node, dict) else {}).items():
            found, where = self.files.resolve(each, place.child(name))
            if isinstance(found, dict) and name.lower() != "content-type":
                yield Parameter(self._schemas, {**found, "in": "header", "name": name, "style": "simple"}, where)


def read_api(data: bytes, file: Path, *, refuse_read_only: bool, responses: bool) -> Api:
    """Read and compile an OpenAPI document.

    :raises DocumentError: it is none, or something of it cannot be used.
    """
    return Api(read_document(data), file, refuse_read_only=refuse_read_only, responses=responses)
