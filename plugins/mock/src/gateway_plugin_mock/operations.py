"""The operations of an OpenAPI document, and the response that a request for one of them gets.

Which one: the status that Prefer asks for, or else the lowest of 2xx, ``2XX``, ``default``, the lowest other one; of
its media types the one that Accept likes most; of that the example that Prefer names, ``example``, the first of
``examples``, what the schema gives, or a value that is made of the schema. Each is made once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from gateway_openapi.documents import References
from gateway_openapi.servers import server_paths
from gateway_openapi.templates import PathOperations

from gateway_plugin_mock.preferences import Preferences, acceptable, concrete, is_json
from gateway_plugin_mock.samples import OMITTED, given_value, sample

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
LARGEST_BODY: Final = 1024 * 1024
_MOST_PARTS: Final = 50_000
"""Values within an example: aliases of YAML may make many of few."""
_MOST_MADE: Final = 1000
"""Responses that are kept. A client chooses among those that the document has."""
_NOT_IN_HEADS: Final = frozenset({"content-type", "content-length", "transfer-encoding", "connection", "date"})

Failure = Literal["no-code", "no-example", "not-acceptable", "no-response", "no-body"]


@dataclass(frozen=True, slots=True)
class Mocked:
    """A response as the document has it."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    place: str
    """Where it is in the document, such as ``paths./users.get``."""

    responses: Mapping[str, Any]


class Api:
    """A document, compiled."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Compile a document.

        :raises DocumentError: two templates take the same paths with the same method.
        """
        self._references = References(document)
        self._paths: PathOperations[Operation] = PathOperations()
        self.operations: list[Operation] = []
        self.bases = server_paths(document)
        """Paths of the servers, the longest first, which requests may have in front; the last one is empty."""
        self._made: dict[tuple[str, str, str, str | None], Mocked | Failure] = {}
        for path, item in document["paths"].items():
            if path.startswith("/"):
                operations = dict(self._operations(path, self._references.resolve(item)))
                self._paths.add(path, operations)
                self.operations += operations.values()

    def _operations(self, path: str, item: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
        for method in METHODS:
            operation = item.get(method.lower())
            if isinstance(operation, dict):
                responses = operation.get("responses")
                place = f"paths.{path}.{method.lower()}"
                yield method, Operation(place, responses if isinstance(responses, dict) else {})

    def find(self, segments: list[str]) -> Mapping[str, Operation] | None:
        """Return the operations of a path by their methods."""
        for base in self.bases:
            if segments[: len(base)] == base:
                found = self._paths.find(segments[len(base) :])
                if found is not None:
                    return found
        return None

    def respond(self, operation: Operation, preferences: Preferences, accept: str | None) -> Mocked | Failure:
        """Return the response of an operation, or why there is none."""
        chosen = _choose(operation.responses, preferences.code)
        if chosen is None:
            return "no-response" if preferences.code is None else "no-code"
        key, status = chosen
        response = self._references.resolve(operation.responses[key])
        content = response.get("content")
        if not isinstance(content, dict) or not content or status in {204, 304}:
            return self._kept(operation, key, status, "", None)
        failure: Failure = "not-acceptable"
        for media_type in acceptable(accept, content):
            made = self._kept(operation, key, status, media_type, preferences.example)
            if isinstance(made, Mocked):
                return made
            failure = made
        return failure

    def _kept(
        self, operation: Operation, key: str, status: int, media_type: str, example: str | None
    ) -> Mocked | Failure:
        name = (operation.place, f"{key} {status}", media_type, example)
        made = self._made.get(name)
        if made is None:
            response = self._references.resolve(operation.responses[key])
            made = self._make(response, status, media_type, example)
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            if made != "no-example":  # whose names are the client's
                self._made[name] = made
        return made

    def _make(self, response: Mapping[str, Any], status: int, media_type: str, example: str | None) -> Mocked | Failure:
        fields = list(self._fields(response))
        if not media_type:
            return Mocked(status, tuple(fields), b"")
        media = self._references.resolve(response["content"][media_type])
        value = self._example(media, example)
        if value is OMITTED and example is not None:
            return "no-example"
        if value is OMITTED:
            value = sample(media.get("schema"), self._references) if "schema" in media else ""
        kind = concrete(media_type)
        body = encode(value, kind, self._references.resolve(media.get("schema")))
        return "no-body" if body is None else Mocked(status, (("Content-Type", kind), *fields), body)

    def _example(self, media: Mapping[str, Any], name: str | None) -> Any:
        """Return the example of a media type that is called so, or the first one; `OMITTED` if there is none."""
        examples = media.get("examples")
        named = examples if isinstance(examples, dict) else {}
        if name is None and "example" in media:
            return media["example"]
        for each, entry in named.items():
            found = self._references.resolve(entry)
            if name in {None, each} and "value" in found:
                return found["value"]
        return OMITTED

    def _fields(self, response: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        headers = response.get("headers")
        for name, entry in (headers if isinstance(headers, dict) else {}).items():
            if name.lower() in _NOT_IN_HEADS:
                continue
            header = self._references.resolve(entry)
            value = self._example(header, None)
            if value is OMITTED:
                value = given_value(header)
            if value is OMITTED:
                value = sample(header.get("schema"), self._references)
            texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
            if texts and None not in texts:
                yield name, ",".join(text for text in texts if text is not None)

    def findings(self) -> Iterator[str]:
        """Yield what is odd about the operations: those without a response, examples that cannot be sent."""
        for operation in self.operations:
            if _choose(operation.responses, None) is None:
                yield f"{operation.place} has no responses: it gets 501"
            for key, entry in operation.responses.items():
                content = self._references.resolve(entry).get("content")
                for media_type, inner in (content if isinstance(content, dict) else {}).items():
                    media = self._references.resolve(inner)
                    value = self._example(media, None)
                    kind, schema = concrete(media_type), self._references.resolve(media.get("schema"))
                    if value is not OMITTED and encode(value, kind, schema) is None:
                        what = f"{operation.place}.responses.{key}.content.{media_type}"
                        yield f"the example of {what} cannot be sent as {kind}: write it as text, below 1 MiB"


def _choose(responses: Mapping[str, Any], code: int | None) -> tuple[str, int] | None:
    """Return the key of a response and its status; None if there is none."""
    if code is not None:
        keys = (str(code), f"{code // 100}XX", f"{code // 100}xx", "default")
        return next(((key, code) for key in keys if key in responses), None)
    found = []
    for key in responses:
        if len(key) == 3 and key[0] in "2345" and key.isascii():
            if key[1:].isdigit():
                found.append((key[0] != "2", False, int(key), key))
            elif key[1:] in {"XX", "xx"}:
                found.append((key[0] != "2", True, int(key[0]) * 100, key))
    best = min(found, default=None)
    if "default" in responses and (best is None or best[0]):
        return "default", 200
    return None if best is None else (best[3], best[2])


def encode(value: Any, media_type: str, schema: Mapping[str, Any]) -> bytes | None:
    """Return an example as the body of a media type; None if it cannot be one, or is too large."""
    if not _is_bounded(value):
        return None
    if is_json(media_type):
        if isinstance(value, str) and schema.get("type") != "string" and value.lstrip()[:1] in {"{", "["}:
            try:  # documents often have JSON as a text
                json.loads(value)
            except (ValueError, RecursionError):
                pass
            else:
                return _bounded(value.encode())
        try:
            return _bounded(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
        except ValueError:  # a number that is infinite
            return None
    if media_type.startswith("application/x-www-form-urlencoded") and isinstance(value, dict):
        texts = {name: _text(inner) for name, inner in value.items()}
        return _bounded(urlencode({name: text for name, text in texts.items() if text is not None}).encode())
    text = "" if value is None else _text(value)
    return None if text is None else _bounded(text.encode("utf-8", "replace"))


def _bounded(body: bytes) -> bytes | None:
    return body if len(body) <= LARGEST_BODY else None


def _is_bounded(value: Any) -> bool:
    """Return whether a value has few enough parts, those that are shared counted each time."""
    left, count, size = [value], 0, 0
    while left:
        node = left.pop()
        count += 1
        if isinstance(node, str):
            size += len(node)
        elif isinstance(node, dict):
            left += node.values()
            size += sum(map(len, node))
        elif isinstance(node, list):
            left += node
        if count > _MOST_PARTS or len(left) > _MOST_PARTS or size > LARGEST_BODY:
            return False
    return True


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
