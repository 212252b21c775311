"""Makes schemas of a document into validators of jsonschema-rs.

A schema becomes one that stands alone: what it refers to, in whatever file, is in its ``$defs``. On the way the schemas
of OpenAPI 3.0 become those of JSON Schema (``nullable``, boolean ``exclusiveMinimum``, ``discriminator``), and
``readOnly`` and ``writeOnly`` become rules of one direction. Patterns run in an engine whose time is linear in the
text; one that it cannot take is a problem of the document.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, Final, Literal

import jsonschema_rs
from gateway_openapi.documents import DocumentError

from gateway_plugin_validate.files import Files, Place

Direction = Literal["request", "response"]
Version = Literal["3.0", "3.1", "schema"]

Validator = jsonschema_rs.Validator

_LARGEST: Final = 200_000
"""Values within one schema and all that it refers to: aliases of YAML may make many of few."""
_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=4 << 20, dfa_size_limit=4 << 20)

_DIALECTS: Final[Mapping[str, type[Validator]]] = {
    "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
}
_SCHEMAS: Final = frozenset(
    {
        "additionalItems", "additionalProperties", "contains", "else", "if", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS: Final = frozenset({"dependentSchemas", "patternProperties", "properties"})
_PLAIN: Final = frozenset(
    {
        "const", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxContains",
        "maxItems",
        "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum",
        "multipleOf", "pattern", "required", "type", "uniqueItems",
    }
)  # fmt: skip
_ONLY_31: Final = frozenset(
    {
        "additionalItems", "const", "contains", "dependentRequired", "dependentSchemas", "else", "if", "maxContains",
        "minContains", "patternProperties", "prefixItems", "propertyNames", "then", "unevaluatedItems",
        "unevaluatedProperties",
    }
)  # fmt: skip
_UNSUPPORTED: Final = frozenset({"$dynamicRef", "$recursiveRef", "$id"})
_RANGES: Final = {"int32": 31, "int64": 63}


def is_base64(text: object) -> bool:
    """Return whether a text is Base64 (RFC 4648 section 4), as the format ``byte`` asks for."""
    try:
        binascii.a2b_base64(str(text), strict_mode=True)
    except ValueError:
        return False
    return True


_FORMATS: Final = {"byte": is_base64}


def compile_schema(schema: Mapping[str, Any] | bool, kind: type[Validator] | None = None) -> Validator:
    """Compile a schema that stands alone.

    :raises DocumentError: it is no schema.
    """
    make = kind or jsonschema_rs.Draft202012Validator
    try:
        return make(
            dict(schema) if isinstance(schema, Mapping) else schema,
            formats=_FORMATS,
            validate_formats=True,
            pattern_options=_PATTERNS,
            mask="the value",
            offline=True,
        )
    except jsonschema_rs.ValidationError as error:
        place = "/".join(map(str, error.instance_path))
        raise DocumentError(f"{place}: {error.message[:200]}" if place else error.message[:200]) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise DocumentError(str(error)[:200]) from None


class Schemas:
    """The schemas of a document. What several refer to is converted once for each direction."""

    def __init__(self, files: Files, version: Version, *, refuse_read_only: bool = True) -> None:
        self.files: Final = files
        self.version: Final = version
        self._refuse_read_only = refuse_read_only
        self._names: dict[tuple[Place, Direction], str] = {}
        self._made: dict[str, tuple[Any, frozenset[str], int]] = {}
        self._patterns: dict[str, str | None] = {}
        self.kind: type[Validator] = jsonschema_rs.Draft202012Validator
        """The dialect."""
        self.compiled: dict[object, Any] = {}
        """What was compiled of them (`checked`)."""

    def use_dialect_of(self, schema: Any) -> None:
        """Read schemas as ``$schema`` says; without one as 2020-12.

        :raises DocumentError: there is no such dialect.
        """
        dialect = schema.get("$schema") if isinstance(schema, dict) else None
        if dialect is None:
            return
        found = _DIALECTS.get(str(dialect).removesuffix("#"))
        if found is None:
            raise DocumentError(f"has $schema: {str(dialect)[:80]!r}, which is not known: leave it out")
        self.kind = found

    def bundle(self, schema: Any, place: Place, direction: Direction) -> dict[str, Any] | bool:
        """Return a schema with all that it refers to.

        :raises DocumentError: it cannot be one.
        """
        made, names, size = self._convert(schema, place, direction)
        definitions: dict[str, Any] = {}
        left = list(names)
        while left:
            name = left.pop()
            if name not in definitions:
                definitions[name], more, each = self._made[name]
                size += each
                left += more
        if size > _LARGEST:
            raise DocumentError(f"{place} has more than {_LARGEST} parts: make it smaller")
        if isinstance(made, dict) and definitions:
            return {**made, "$defs": definitions}
        result: dict[str, Any] | bool = made
        return result

    def compile(self, bundle: Mapping[str, Any] | bool, place: Place) -> Validator:
        """Return the validator of a schema with all that it refers to.

        :raises DocumentError: it cannot be one.
        """
        try:
            return compile_schema(bundle, self.kind)
        except DocumentError as error:
            raise DocumentError(f"{place} is no schema: {error}") from None

    def _convert(self, schema: Any, place: Place, direction: Direction) -> tuple[Any, frozenset[str], int]:
        conversion = _Conversion(self, direction)
        made = conversion.convert(schema, place)
        left = conversion.new
        while left:
            name, found, where = left.pop()
            inner = _Conversion(self, direction)
            self._made[name] = inner.convert(found, where), frozenset(inner.names), inner.size
            left += inner.new
        return made, frozenset(conversion.names), conversion.size

    def name_of(self, place: Place, direction: Direction) -> tuple[str, bool]:
        """Return the name of a place in ``$defs``, and whether it is a new one."""
        name = self._names.get((place, direction))
        if name is not None:
            return name, False
        name = self._names[place, direction] = f"s{len(self._names)}"
        return name, True

    def check_pattern(self, pattern: object, place: Place) -> None:
        """Refuse a pattern that the linear engine cannot take.

        :raises DocumentError: it is one.
        """
        if not isinstance(pattern, str):
            raise DocumentError(f"{place} is no pattern: write a text")
        if pattern not in self._patterns:
            try:
                compile_schema({"pattern": pattern})
                self._patterns[pattern] = None
            except DocumentError as error:
                self._patterns[pattern] = str(error)
        if self._patterns[pattern] is not None:
            what = "is no regular expression of linear time: write it without look-around and back-references"
            raise DocumentError(f"{place}: the pattern {pattern[:80]!r} {what}, or correct it")

    def is_hidden(self, schema: Any, place: Place, direction: Direction) -> bool:
        """Return whether a property may not be in messages of a direction (``readOnly``, ``writeOnly``)."""
        found, _ = self.files.resolve(schema, place)
        return isinstance(found, dict) and found.get("readOnly" if direction == "request" else "writeOnly") is True

    @property
    def refuses_read_only(self) -> bool:
        """Whether a request with a property that is ``readOnly`` is refused."""
        return self._refuse_read_only


class _Conversion:
    """Converts one schema, up to what it refers to."""

    def __init__(self, schemas: Schemas, direction: Direction) -> None:
        self._schemas = schemas
        self._direction = direction
        self._is_30 = schemas.version == "3.0"
        self._is_openapi = schemas.version != "schema"
        self.new: list[tuple[str, Any, Place]] = []
        """What is referred to for the first time: name, schema, place."""
        self.names: set[str] = set()
        self.size = 0

    def convert(self, schema: Any, place: Place) -> Any:
        """Return a schema without references to elsewhere.

        :raises DocumentError: it cannot be one.
        """
        self.size += 1
        if self.size > _LARGEST:
            raise DocumentError(f"{place} has more than {_LARGEST} parts: make it smaller")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise DocumentError(f"{place} is no schema: write a mapping")
        if isinstance(schema.get("$ref"), str) and self._is_30:
            return {"$ref": self._refer(schema["$ref"], place)}
        made: dict[str, Any] = {}
        for key, value in schema.items():
            self._keyword(key, value, place, made)
        self._drop_hidden(schema, place, made)
        if self._is_openapi:
            self._openapi(schema, place, made)
        return made

    def _refer(self, reference: str, place: Place) -> str:
        found, where = self._schemas.files.find(reference, place)
        name, is_new = self._schemas.name_of(where, self._direction)
        self.names.add(name)
        if is_new:
            self.new.append((name, found, where))
        return f"#/$defs/{name}"

    def _keyword(self, key: str, value: Any, place: Place, made: dict[str, Any]) -> None:
        if self._is_30 and key in _ONLY_31:
            return
        if key == "$ref" and isinstance(value, str):
            made["$ref"] = self._refer(value, place)
        elif key in _UNSUPPORTED and isinstance(value, str) and place.pointer:
            raise DocumentError(f"{place} has {key}, which is not supported: write a $ref with a pointer")
        elif key in _SCHEMAS or (key == "items" and not isinstance(value, list)):
            made[key] = self.convert(value, place.child(key))
        elif key in _LISTS or key == "items":
            made[key] = self._list(value, place.child(key))
        elif key in _MAPS or key == "dependencies":
            self._map(key, value, place.child(key), made)
        elif key in _PLAIN:
            self.size += len(value) if isinstance(value, list) else 1
            made[key] = value
            if key == "pattern":
                self._schemas.check_pattern(value, place)

    def _list(self, value: Any, place: Place) -> list[Any]:
        if not isinstance(value, list):
            raise DocumentError(f"{place} is no list of schemas: write one")
        return [self.convert(each, place.child(index)) for index, each in enumerate(value)]

    def _map(self, key: str, value: Any, place: Place, made: dict[str, Any]) -> None:
        if not isinstance(value, dict):
            raise DocumentError(f"{place} is no mapping of schemas: write one")
        if key == "patternProperties":
            for pattern in value:
                self._schemas.check_pattern(pattern, place)
        if key == "dependencies":
            made[key] = {
                name: each if isinstance(each, list) else self.convert(each, place.child(name))
                for name, each in value.items()
            }
        else:
            made[key] = {name: self.convert(each, place.child(name)) for name, each in value.items()}

    def _drop_hidden(self, schema: Mapping[str, Any], place: Place, made: dict[str, Any]) -> None:
        """Take what is only for the other direction out of ``required``, and refuse it."""
        properties = schema.get("properties")
        if not self._is_openapi or not isinstance(properties, dict):
            return
        for name, each in properties.items():
            if self._schemas.is_hidden(each, place.child("properties", name), self._direction):
                if isinstance(made.get("required"), list):
                    made["required"] = [other for other in made["required"] if other != name]
                if self._direction == "response" or self._schemas.refuses_read_only:
                    made["properties"][name] = False

    def _openapi(self, schema: Mapping[str, Any], place: Place, made: dict[str, Any]) -> None:
        form = made.get("format")
        if form in _RANGES and "minimum" not in made and "maximum" not in made:
            made["minimum"], made["maximum"] = -(1 << _RANGES[form]), (1 << _RANGES[form]) - 1
        if self._is_30:
            for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
                if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and limit in made:
                    made[exclusive] = made.pop(limit)
        if isinstance(schema.get("discriminator"), dict):
            self._discriminate(schema, place, made)
        if self._is_30 and schema.get("nullable") is True:
            inner = dict(made)
            made.clear()
            made["anyOf"] = [{"type": "null"}, inner]

    def _discriminate(self, schema: Mapping[str, Any], place: Place, made: dict[str, Any]) -> None:
        """Choose the alternative that the property names, in place of trying each.

        Without ``oneOf`` and ``anyOf`` the property is only a hint which schema extends this one, and checks nothing.
        """
        discriminator = schema["discriminator"]
        key = next((key for key in ("oneOf", "anyOf") if isinstance(schema.get(key), list)), None)
        name = discriminator.get("propertyName")
        if key is None or not isinstance(name, str):
            return
        mapping = discriminator.get("mapping")
        values: dict[str, list[str]] = {}
        for index, each in enumerate(schema[key]):
            if not isinstance(each, dict) or not isinstance(each.get("$ref"), str):
                return  # alternatives without a name are tried one by one
            values[made[key][index]["$ref"]] = [each["$ref"].rpartition("/")[2]]
        for value, target in (mapping if isinstance(mapping, dict) else {}).items():
            if isinstance(target, str):
                is_name = "/" not in target and "#" not in target and "." not in target
                reference = self._refer(f"#/components/schemas/{target}" if is_name else target, place)
                values.setdefault(reference, []).append(value)
        del made[key]
        known = [value for each in values.values() for value in each]
        made["allOf"] = [
            *made.get("allOf", ()),
            {"type": "object", "required": [name], "properties": {name: {"enum": known}}},
            *(
                {"if": {"required": [name], "properties": {name: {"enum": each}}}, "then": {"$ref": reference}}
                for reference, each in values.items()
            ),
        ]
