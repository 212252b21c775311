"""Bodies of an operation: which media types it takes, and what is wrong with a body of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway_openapi.documents import DocumentError
from gateway_plugin_sdk.strict_json import JsonError, read_json
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from gateway_plugin_validate.checked import checked
from gateway_plugin_validate.files import Place
from gateway_plugin_validate.media import MediaType, read_media_type, read_parameters, split_parameters
from gateway_plugin_validate.parameters import TextError, decoded, read_pairs
from gateway_plugin_validate.problems import Failure, pointer_of
from gateway_plugin_validate.schemas import Direction, Schemas
from gateway_plugin_validate.shapes import ANY, Shape

_MOST_FIELDS: Final = 1000
"""Fields of a form."""
_PLAIN: Final = frozenset({"7bit", "8bit", "binary"})
"""Values of Content-Transfer-Encoding that change nothing; RFC 7578 section 4.7 has no others."""
_MOST_FOUND: Final = 16
_LONGEST_FOUND: Final = 64
"""Values of Content-Type, and characters of one, that are recognised when they come again."""


def _failure(detail: str, keyword: str = "syntax", *path: str) -> tuple[Failure, ...]:
    return (Failure("body", "", pointer_of(path), keyword, detail),)


class Content:
    """A body of one media type."""

    def __init__(
        self, schemas: Schemas, name: str, node: Mapping[str, Any], place: Place, direction: Direction
    ) -> None:
        """Compile.

        :raises DocumentError: the name is no media type, or the schema none.
        """
        media_type = read_media_type(name)
        if media_type is None:
            raise DocumentError(f"{place} is no media type: write one such as application/json")
        self.range: Final = media_type
        self._checked = checked(schemas, node["schema"], place.child("schema"), direction) if "schema" in node else None
        encoding = node.get("encoding")
        self._encodings: dict[str, Mapping[str, Any]] = {
            key: each
            for key, each in (encoding if isinstance(encoding, dict) else {}).items()
            if isinstance(each, dict)
        }

    def is_read(self, kind: str) -> bool:
        """Return whether a body of this kind has to be read: JSON always, others if there is a schema."""
        return kind == "json" or (kind != "other" and self._checked is not None)

    def failures(self, data: bytes, sent: MediaType) -> Sequence[Failure]:
        """Return what is wrong with a body."""
        try:
            value = self._value(data, sent)
        except JsonError as error:
            return _failure(str(error))
        except TextError as error:
            return _failure(error.detail, error.keyword)
        except _PartError as error:
            return _failure(error.detail, error.keyword, error.name)
        except MultipartError:
            return _failure("is no multipart/form-data of at most 1000 parts")
        except UnicodeDecodeError:
            return _failure("is no text in UTF-8")
        return () if self._checked is None else self._checked.failures(value, "body")

    def _value(self, data: bytes, sent: MediaType) -> Any:
        shape = ANY if self._checked is None else self._checked.shape
        if sent.kind == "json":
            return read_json(data)
        if sent.kind == "form":
            return self._form(data.decode("ascii", "replace"), shape)
        if sent.kind == "multipart":
            return self._parts(data, sent.parameters.get("boundary", ""), shape)
        return shape.read(data.decode())

    def _form(self, text: str, shape: Shape) -> dict[str, Any]:
        if text.count("&") >= _MOST_FIELDS:
            raise TextError("syntax", f"has more than {_MOST_FIELDS} fields")
        made: dict[str, Any] = {}
        for name, given in read_pairs(text).items():
            field = shape.properties.get(name, shape.other or ANY)
            if field.is_array and self._encodings.get(name, {}).get("explode") is False:
                texts = [decoded(piece, plus=True) for each in given for piece in each.split(",")]
            else:
                texts = [decoded(each, plus=True) for each in given]
            made[name] = self._field(name, texts, field)
        return made

    def _field(self, name: str, texts: Sequence[str], field: Shape) -> Any:
        if field.is_array:
            return [field.read_item(text) for text in texts]
        if len(texts) > 1:
            return list(texts) if field is ANY else _raise(name, "repeated", "is given more than once")
        return _json_of(name, texts[0].encode()) if field.is_object else field.read(texts[0])

    def _parts(self, data: bytes, boundary: str, shape: Shape) -> dict[str, Any]:
        if not 0 < len(boundary) <= 70:
            raise TextError("syntax", "has no boundary of at most 70 characters in its Content-Type")
        found: dict[str, list[Any]] = {}
        segment: MultipartSegment | None = None
        pieces: list[bytes] = []
        with PushMultipartParser(boundary, max_segment_count=_MOST_FIELDS, strict=True) as parser:
            for event in parser.parse(data):
                if isinstance(event, MultipartSegment):
                    _check_head(event)
                    segment, pieces = event, []
                elif event:
                    pieces.append(bytes(event))
                elif segment is not None:
                    name = segment.name or ""
                    field = shape.properties.get(name, shape.other or ANY)
                    inner = (field.items or ANY) if field.is_array else field
                    found.setdefault(name, []).append(self._part(name, segment, b"".join(pieces), inner))
        made: dict[str, Any] = {}
        for name, values in found.items():
            field = shape.properties.get(name, shape.other or ANY)
            if len(values) > 1 and not field.is_array and field is not ANY:
                _raise(name, "repeated", "is given more than once")
            made[name] = values if field.is_array or len(values) > 1 else values[0]
        return made

    def _part(self, name: str, segment: MultipartSegment, data: bytes, field: Shape) -> Any:
        kind = read_media_type(segment.content_type or "text/plain")
        declared = self._encodings.get(name, {}).get("contentType")
        ranges = [read_media_type(each.strip()) for each in declared.split(",")] if isinstance(declared, str) else []
        if kind is None or (ranges and not any(each is not None and each.takes(kind) for each in ranges)):
            _raise(name, "contentType", "is of a media type that is not declared")
        if (segment.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
            _raise(name, "charset", "is not in UTF-8")
        if kind is not None and kind.kind == "json":
            return _json_of(name, data)
        if field.is_object and segment.filename is None:
            return _json_of(name, data)
        if segment.filename is not None or field is ANY:
            return data.decode("latin-1")  # a file: one character a byte, so that lengths are those of the content
        try:
            return field.read(data.decode())
        except UnicodeDecodeError:
            return _raise(name, "syntax", "is no text in UTF-8")


def _check_head(segment: MultipartSegment) -> None:
    """Refuse a part that readers could take for different fields, or whose content for different values.

    :raises TextError: its name, or its fields, are not those that RFC 7578 section 4 has, once each.
    """
    heads = dict(segment.headerlist)
    parameters = read_parameters(split_parameters(heads.get("Content-Disposition", ""))[1:])
    if (
        len(heads) != len(segment.headerlist)
        or segment.disposition != "form-data"
        or segment.name is None
        or parameters is None
        or "name*" in parameters
        or (segment.filename is None and "filename*" in parameters)
    ):
        raise TextError("syntax", "has a part without one name of its own")
    if heads.get("Content-Transfer-Encoding", "binary").strip().lower() not in _PLAIN:
        raise TextError("syntax", "has a part with a Content-Transfer-Encoding")


class _PartError(ValueError):
    """A field of a form cannot be read."""

    def __init__(self, name: str, keyword: str, detail: str) -> None:
        self.name: Final = name
        self.keyword: Final = keyword
        self.detail: Final = detail
        super().__init__(detail)


def _raise(name: str, keyword: str, detail: str) -> Any:
    raise _PartError(name, keyword, detail)


def _json_of(name: str, data: bytes) -> Any:
    try:
        return read_json(data)
    except JsonError as error:
        return _raise(name, "syntax", str(error))


class Bodies:
    """What bodies an operation takes."""

    def __init__(self, schemas: Schemas, node: Mapping[str, Any], place: Place, direction: Direction) -> None:
        """Compile a request body or a response.

        :raises DocumentError: it is none.
        """
        self.required: Final = node.get("required") is True
        content = node.get("content")
        made: list[Content] = []
        for name, entry in (content if isinstance(content, dict) else {}).items():
            media, where = schemas.files.resolve(entry, place.child("content", name))
            made.append(Content(schemas, name, media if isinstance(media, dict) else {}, where, direction))
        self.contents: Final = sorted(made, key=lambda each: each.range.rank)
        self._found: dict[str, tuple[Content, MediaType]] = {}

    def find(self, value: str) -> tuple[Content, MediaType] | None:
        """Return what is declared for a Content-Type, and the media type that this is; None if it is not declared.

        The most specific range counts.
        """
        found = self._found.get(value)
        if found is None:
            sent = read_media_type(value)
            content = next((each for each in self.contents if sent is not None and each.range.takes(sent)), None)
            if sent is None or content is None:
                return None
            found = content, sent
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            if len(value) <= _LONGEST_FOUND:
                self._found[value] = found
        return found
