"""Parameters of an operation: their styles (OpenAPI 3.1 section 4.8.12), and what is wrong with what a client sent.

Texts are split at the delimiters of their style before they are decoded: a delimiter that a client escaped is part of a
value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import unquote

from gateway_openapi.documents import DocumentError
from gateway_plugin_sdk.strict_json import JsonError, read_json

from gateway_plugin_validate.checked import checked
from gateway_plugin_validate.files import Place
from gateway_plugin_validate.problems import Failure
from gateway_plugin_validate.schemas import Schemas

Location = Literal["path", "query", "header", "cookie"]
Texts = Mapping[str, Sequence[str]]
"""Values by names, both as they were sent but for the names, which are decoded."""

_STYLES: Final[dict[str, tuple[str, ...]]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form", "cookie"),
}
"""The first one is the default."""
_OTHER_FIELDS: Final = frozenset({"accept", "authorization", "content-type"})
"""Fields that OpenAPI describes elsewhere."""
_MOST_ITEMS: Final = 10_000


class TextError(ValueError):
    """A text is not as its style has it."""

    def __init__(self, keyword: str, detail: str) -> None:
        self.keyword: Final = keyword
        self.detail: Final = detail
        super().__init__(detail)


class Parameter:
    """One parameter."""

    def __init__(self, schemas: Schemas, node: Mapping[str, Any], place: Place) -> None:
        """Compile.

        :raises DocumentError: it is no parameter.
        """
        where, name = node.get("in"), node.get("name")
        if where not in _STYLES or not isinstance(name, str) or not name:
            raise DocumentError(f"{place} is no parameter: write its name, and in: path, query, header or cookie")
        self.where: Final[str] = where
        self.name: Final[str] = name
        self.required: Final = node.get("required") is True or where == "path"
        style = node.get("style", _STYLES[where][0])
        if style not in _STYLES[where]:
            raise DocumentError(f"{place} has the style {str(style)[:40]!r}: write one of {', '.join(_STYLES[where])}")
        self._style: Final[str] = style
        self._explode = node.get("explode", style in {"form", "cookie", "deepObject"}) is True
        self._may_be_empty = node.get("allowEmptyValue") is True
        schema, where_is = node.get("schema", True), place.child("schema")
        content = node.get("content")
        self._is_json = False
        if isinstance(content, dict) and content:
            media_type, media = next(iter(content.items()))
            media, where_is = schemas.files.resolve(media, place.child("content", media_type))
            schema, where_is = media.get("schema", True), where_is.child("schema")
            self._is_json = "json" in media_type
        self._checked = checked(schemas, schema, where_is, "request")
        self.names: Final = self._names()
        """Names in the query that belong to it."""
        shape = self._checked.shape
        has_parts = shape.is_array or shape.is_object or self._is_json
        self._is_plain = not has_parts and style in {"simple", "form", "cookie"}
        """Whether it is one value without anything around it, as most are."""

    @property
    def is_ignored(self) -> bool:
        """Whether it is a field that OpenAPI has no parameters for."""
        return self.where == "header" and self.name.lower() in _OTHER_FIELDS

    def takes(self, name: str) -> bool:
        """Return whether a name in the query belongs to this parameter."""
        if self._style == "deepObject":
            return name.startswith(f"{self.name}[")
        return name in self.names

    def failures(self, texts: Texts) -> Sequence[Failure]:
        """Return what is wrong with what was sent."""
        try:
            value = self._read(texts)
        except TextError as error:
            return (Failure(self.where, self.name, "#", error.keyword, error.detail),)
        except JsonError as error:
            return (Failure(self.where, self.name, "#", "syntax", str(error)),)
        if value is None:
            return (Failure(self.where, self.name, "#", "missing", "is missing"),) if self.required else ()
        checked = self._checked
        if checked.is_valid(value) or (value == "" and self._may_be_empty):
            return ()
        if not isinstance(value, str | list | dict) and "string" in checked.shape.types:
            text = self._decoded(texts[self.name][0])
            if checked.is_valid(text):
                return ()
        return checked.failures(value, self.where, self.name)

    def _names(self) -> frozenset[str]:
        shape = self._checked.shape
        if self.where == "query" and self._style == "form" and self._explode and shape.is_object and not self._is_json:
            return frozenset(shape.properties)
        return frozenset({self.name})

    def _read(self, texts: Texts) -> Any:
        """Return the value; None if there is none."""
        shape = self._checked.shape
        if self._is_plain:
            found = texts.get(self.name)
            return shape.read(self._one(found)) if found else None
        if self._style == "deepObject":
            return self._deep_object(texts)
        if self.name not in self.names or (len(self.names) != 1 and shape.is_object):
            sent = {name: texts[name] for name in self.names if name in texts}
            return {name: shape.read_property(name, self._one(each)) for name, each in sent.items()} or None
        given = texts.get(self.name)
        if not given:
            return None
        if self._is_json:
            return read_json(self._one(given).encode())
        if shape.is_array:
            return [shape.read_item(self._decoded(text)) for text in self._pieces(given)]
        if shape.is_object:
            return self._object(given)
        return shape.read(self._stripped(self._one(given)))

    def _one(self, given: Sequence[str]) -> str:
        if len(given) > 1:
            raise TextError("repeated", "is given more than once")
        return self._decoded(given[0])

    def _decoded(self, text: str) -> str:
        if self.where in {"header", "cookie"}:
            return text
        return decoded(text, plus=self.where == "query")

    def _stripped(self, text: str) -> str:
        """Take away what the styles of paths have in front of a value."""
        if self._style == "label":
            if not text.startswith("."):
                raise TextError("style", "does not begin with a dot")
            return text[1:]
        if self._style == "matrix":
            if not text.startswith(f";{self.name}="):
                raise TextError("style", "does not begin with a semicolon, its name and =")
            return text[len(self.name) + 2 :]
        return text

    def _pieces(self, given: Sequence[str]) -> list[str]:
        """Return the items of a list, as they were sent."""
        if self.where == "query" and self._style == "form" and self._explode:
            return list(given)
        if self._style == "matrix" and self._explode:
            return [self._stripped(f";{piece}") for piece in given[0].split(";")[1:]]
        if len(given) > 1 and self.where != "header":
            raise TextError("repeated", "is given more than once")
        text = ",".join(given)
        if self._style == "label":
            return self._stripped(text).split("." if self._explode else ",")
        if self._style == "spaceDelimited":
            return text.replace("+", "%20").split("%20")
        if self._style == "pipeDelimited":
            return text.replace("%7C", "|").replace("%7c", "|").split("|")
        text = self._stripped(text)
        if not text:
            return []
        pieces = text.split(",", _MOST_ITEMS)
        return [piece.strip() for piece in pieces] if self.where == "header" else pieces

    def _object(self, given: Sequence[str]) -> dict[str, Any]:
        shape = self._checked.shape
        pieces = self._pairs(given)
        made: dict[str, Any] = {}
        for name, text in pieces:
            if name in made:
                raise TextError("repeated", "has a property twice")
            made[name] = shape.read_property(name, text)
        return made

    def _pairs(self, given: Sequence[str]) -> list[tuple[str, str]]:
        is_matrix = self._explode and self._style == "matrix"
        pieces = given[0].split(";")[1:] if is_matrix else self._pieces(given)
        if self._explode:
            split = [piece.partition("=") for piece in pieces]
            return [(self._decoded(name), self._decoded(text)) for name, _, text in split]
        if len(pieces) % 2:
            raise TextError("style", "has a property without a value")
        return [
            (self._decoded(name), self._decoded(text)) for name, text in zip(pieces[::2], pieces[1::2], strict=True)
        ]

    def _deep_object(self, texts: Texts) -> dict[str, Any] | None:
        shape, made = self._checked.shape, {}
        for name, given in texts.items():
            if not name.startswith(f"{self.name}["):
                continue
            inner = name[len(self.name) + 1 : -1]
            if name[-1] != "]" or "[" in inner or "]" in inner:
                raise TextError("style", "is not as deepObject has it: name[property]=value")
            property_shape = shape.properties.get(inner)
            if property_shape is not None and property_shape.is_array:
                made[inner] = [property_shape.read_item(self._decoded(text)) for text in given]
            else:
                made[inner] = shape.read_property(inner, self._one(given))
        return made or None


def decoded(text: str, *, plus: bool) -> str:
    """Return a text without its escapes.

    :raises TextError: it is no UTF-8 then.
    """
    if plus and "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise TextError("syntax", "is no text in UTF-8") from None


def read_pairs(text: str) -> dict[str, list[str]]:
    """Return the values of a query or a form by their decoded names; values stay as they were sent.

    :raises TextError: a name is no text in UTF-8.
    """
    found: dict[str, list[str]] = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(decoded(name, plus=True), []).append(value)
    return found
