"""Media types (RFC 9110 section 8.3): of messages, and those that a document declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal["json", "form", "multipart", "text", "other"]

_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


class MediaType(NamedTuple):
    """A media type, in lower case, with its parameters."""

    name: str
    parameters: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        """How a body of this type is read."""
        if self.name == "application/json" or self.name.endswith("+json"):
            return "json"
        if self.name == "application/x-www-form-urlencoded":
            return "form"
        if self.name == "multipart/form-data":
            return "multipart"
        return "text" if self.name.startswith("text/") else "other"

    def takes(self, sent: MediaType) -> bool:
        """Return whether this range has a media type: its parameters are sent, a charset is declared or UTF-8."""
        kind, _, subtype = self.name.partition("/")
        if self.name not in {"*/*", sent.name} and not (subtype == "*" and sent.name.startswith(f"{kind}/")):
            return False
        declared, charset = self.parameters.get("charset"), sent.parameters.get("charset")
        if charset is not None and charset.lower() not in _UTF8:  # what is read, is read as UTF-8 whatever is declared
            is_declared = declared is not None and declared.lower() == charset.lower()
            if sent.kind != "other" or not is_declared:
                return False
        return all(sent.parameters.get(name) == value for name, value in self.parameters.items() if name != "charset")

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Sort key: the most specific range comes first."""
        return self.name == "*/*", self.name.endswith("/*"), -len(self.parameters)


def read_media_type(value: str) -> MediaType | None:
    """Return the media type of a field value; None if it is none."""
    pieces = split_parameters(value)
    name = pieces[0].strip().lower()
    kind, _, subtype = name.partition("/")
    if not kind or not subtype or "/" in subtype or " " in name:
        return None
    parameters = read_parameters(pieces[1:])
    return None if parameters is None else MediaType(name, parameters)


def read_parameters(pieces: Iterable[str]) -> dict[str, str] | None:
    """Return the parameters of a field value by their names in lower case; None if one is none, or there twice.

    :param pieces: what is between its semicolons.
    """
    parameters: dict[str, str] = {}
    for piece in pieces:
        key, equals, text = piece.partition("=")
        key, text = key.strip().lower(), text.strip()
        if not piece.strip():
            continue
        if not equals or not key or key in parameters:
            return None
        if text[:1] == '"':
            if len(text) < 2 or text[-1] != '"':
                return None
            text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        parameters[key] = text
    return parameters


def split_parameters(value: str) -> list[str]:
    """Split at semicolons that are not within quotes."""
    if '"' not in value:
        return value.split(";")
    pieces, quoted, start, index = [], False, 0, 0
    while index < len(value):
        character = value[index]
        if quoted and character == "\\":
            index += 1
        elif character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            pieces.append(value[start:index])
            start = index + 1
        index += 1
    return [*pieces, value[start:]]
