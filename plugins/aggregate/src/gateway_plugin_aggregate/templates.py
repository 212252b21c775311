"""Texts with placeholders: ``/hotels/{param:id}``, ``{call:hotel.destination_id}``, ``{query:page|1}``.

The sources of the client's values have the names that the plugin `headers` gives them. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from gateway_plugin_sdk import MISSING, Request, claim_path

LONGEST_VALUE: Final = 4096
"""Characters of a value in a path, a query or a field."""
_LONGEST_PATH: Final = 8192
_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATOR: Final = re.compile(r"[/\\]")
_DOTS: Final = frozenset({".", ".."})
_PLAIN: Final = ("identity", "client_ip")
_NAMED: Final = ("call", "param", "query", "header", "cookie", "claim")
_DEEPEST: Final = 64


class ValueRefusedError(ValueError):
    """A value is missing, or must not stand where the template has it; the message has no part of it."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What stands between braces."""

    source: str
    name: str
    default: str | None = None

    @property
    def call(self) -> str | None:
        """The call whose response it reads; None for a value of the client's."""
        return self.name.partition(".")[0] if self.source == "call" else None

    @property
    def steps(self) -> list[str]:
        """Where the value is in the call's response; nothing for the response as a whole."""
        return self.name.split(".")[1:]

    def __str__(self) -> str:
        return f"{self.source}:{self.name}" if self.name else self.source


Piece = str | Placeholder
Template = tuple[Piece, ...]
Lookup = Callable[[Placeholder], Any]
"""Returns the value of a placeholder; None where there is none."""


def parse_template(text: str) -> Template:
    """Return the pieces of a template.

    :raises ValueError: a brace has no partner, or there is no such source.
    """
    pieces: list[Piece] = []
    position = 0
    for found in _PART.finditer(text):
        if found.start() > position:
            pieces.append(text[position : found.start()])
        position = found.end()
        if found[0] in {"{{", "}}"}:
            pieces.append(found[0][0])
        elif found[1] is None:
            raise ValueError(f"has a {found[0]} without its partner: write {found[0] * 2} for the character")
        else:
            pieces.append(_placeholder(found[1]))
    if position < len(text):
        pieces.append(text[position:])
    return tuple(pieces)


def _placeholder(text: str) -> Placeholder:
    inner, bar, default = text.partition("|")
    source, _, name = inner.partition(":")
    if (name and source in _NAMED) or (not name and source in _PLAIN):
        made = Placeholder(source, name, default if bar else None)
        if source == "call" and "" in name.split("."):
            raise ValueError(f"names {{{inner}}}, which has an empty step: write {{call:NAME.FIELD}}")
        return made
    meant = ""
    if re.fullmatch(r"resp\d+_\S+", inner):
        meant = "{call:NAME.FIELD} is a value of an earlier call; "
    elif re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", inner) and inner not in _NAMED:
        meant = f"{{param:{inner}}} is a parameter of the route's path; "
    named = ", ".join(f"{kind}:NAME" for kind in _NAMED)
    raise ValueError(f"names {{{inner}}}, which there is not: {meant}use one of {', '.join(_PLAIN)}, {named}")


def placeholders_of(template: Template) -> Iterator[Placeholder]:
    """Yield the placeholders of a template."""
    return (each for each in template if isinstance(each, Placeholder))


def read_client_value(request: Request, query: Mapping[str, str], placeholder: Placeholder) -> Any:
    """Return a value of the client's; None where there is none.

    :param query: the first value of each parameter: a long query is not decoded once for each placeholder.
    """
    source, name = placeholder.source, placeholder.name
    if source == "param":
        value = request.path_params.get(name)
        return None if value is None else unquote(value)  # a kept %2F or %25 is one character here
    if source == "query":
        return query.get(name)
    if source == "header":
        return _text_of_field(request.headers.joined(name))
    if source == "cookie":
        return _text_of_field(request.cookie(name))
    if source == "client_ip":
        return request.client_ip
    identity = request.identity
    if identity is None:
        return None
    if source == "identity":
        return identity.subject
    found = claim_path(name)(identity.claims)
    return None if found is MISSING else found


def _text_of_field(value: str | None) -> str | None:
    """Return a field's value as text: fields hold one character a byte, and the bytes are mostly UTF-8."""
    if value is None or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def read_call_value(value: Any, steps: list[str]) -> Any:
    """Return what is at a place of a response; None where there is nothing."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 8 and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text_of(value: Any) -> str:
    """Return a text, number or truth value as text.

    :raises ValueRefusedError: it is something else, or too long.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float):
        text = json.dumps(value)
    else:
        raise ValueRefusedError("a value is missing, or is no text, number or truth value")
    if len(text) > LONGEST_VALUE:
        raise ValueRefusedError(f"a value is longer than {LONGEST_VALUE} characters")
    return text


def segment_of(value: Any) -> str:
    """Return a value as part of one segment of a path, percent-encoded.

    Refused is what could be another path to an upstream that decodes it, even twice, that takes an encoded slash or a
    backslash for a separator, or that removes path parameters (``..;x``).

    :raises ValueRefusedError: it is empty, dots, or has control characters.
    """
    text = text_of(value)
    if not text:
        raise ValueRefusedError("a value in a path is empty")
    decoded = text
    for _ in range(3):
        if _CONTROL.search(decoded):
            raise ValueRefusedError("a value in a path has control characters")
        if any(part.partition(";")[0] in _DOTS for part in _SEPARATOR.split(decoded)):
            raise ValueRefusedError("a value in a path is dots")
        decoded = unquote(decoded)
    return quote(text, safe="")


def render_path(template: Template, lookup: Lookup) -> str:
    """Return a path; each value in it is part of one segment.

    :raises ValueRefusedError: a value cannot be in a path.
    """
    path = "".join(each if isinstance(each, str) else segment_of(_value(each, lookup)) for each in template)
    if len(path) > _LONGEST_PATH:
        raise ValueRefusedError("the path is too long")
    if any(unquote(segment).partition(";")[0] in _DOTS for segment in path.split("/")):
        raise ValueRefusedError("values in a path make dots")
    return path


def render_text(template: Template, lookup: Lookup) -> str | None:
    """Return the value of a parameter of the query; None where a value of it is missing. A list is joined by commas.

    :raises ValueRefusedError: a value is too long, or is an object.
    """
    texts = []
    for each in template:
        if isinstance(each, str):
            texts.append(each)
            continue
        value = _value(each, lookup)
        if value is None:
            return None
        texts.append(text_of(",".join(map(text_of, value)) if isinstance(value, list) else value))
    return "".join(texts)


def render_field(template: Template, lookup: Lookup) -> str | None:
    """Return the value of a field; None where a value of it is missing.

    :raises ValueRefusedError: a value has control characters, is too long, or is an object.
    """
    text = render_text(template, lookup)
    if text is None or (text.isascii() and text.isprintable()):
        return text
    if _CONTROL.search(text):
        raise ValueRefusedError("a value in a field has control characters")
    return text.encode("utf-8", "replace").decode("latin-1")


def _value(placeholder: Placeholder, lookup: Lookup) -> Any:
    value = lookup(placeholder)
    return placeholder.default if value is None else value


class BodyTemplate:
    """A JSON value whose texts may have placeholders; a text that is one placeholder keeps the type of its value."""

    def __init__(self, value: Any) -> None:
        """Compile.

        :raises ValueError: a template in it is none, or the value is no JSON.
        """
        self._pieces: list[str | Placeholder | Template] = []
        self._add(value, 0)

    def placeholders(self) -> Iterator[Placeholder]:
        """Yield the placeholders in it."""
        for each in self._pieces:
            if isinstance(each, Placeholder):
                yield each
            elif isinstance(each, tuple):
                yield from placeholders_of(each)

    def render(self, lookup: Lookup, limit: int) -> bytes:
        """Return the JSON text.

        :param limit: bytes at most; nothing more is made once they are exceeded.
        :raises ValueRefusedError: it becomes too large.
        """
        made, size = [], 0
        for each in self._pieces:
            if isinstance(each, str):
                text = each
            elif isinstance(each, Placeholder):
                text = _json(_value(each, lookup))
            else:
                text = _json("".join(_shown(piece, lookup) for piece in each))
            made.append(text.encode())
            size += len(made[-1])
            if size > limit:
                raise ValueRefusedError("the body becomes too large")
        return b"".join(made)

    def _add(self, value: Any, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"is nested more than {_DEEPEST} deep: make it flatter")
        if isinstance(value, Mapping):
            for index, (name, inner) in enumerate(value.items()):
                self._pieces.append(f"{',' if index else '{'}{_json(str(name))}:")
                self._add(inner, depth + 1)
            self._pieces.append("}" if value else "{}")
        elif isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                self._pieces.append("," if index else "[")
                self._add(inner, depth + 1)
            self._pieces.append("]" if value else "[]")
        elif isinstance(value, str):
            template = parse_template(value)
            if len(template) == 1 and isinstance(template[0], Placeholder):
                self._pieces.append(template[0])
            elif any(True for _ in placeholders_of(template)):
                self._pieces.append(template)
            else:
                self._pieces.append(_json("".join(map(str, template))))
        else:
            self._pieces.append(json_text(value))


def _shown(piece: Piece, lookup: Lookup) -> str:
    if isinstance(piece, str):
        return piece
    value = _value(piece, lookup)
    return "" if value is None else text_of(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_text(value: Any) -> str:
    """Return the JSON text of a value of the configuration.

    :raises ValueError: it is no JSON, such as a date of YAML.
    """
    try:
        text = _json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("is no JSON: write dates as texts, in quotes") from None
    return text
