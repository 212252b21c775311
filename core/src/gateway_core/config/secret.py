"""Config types for what must never be shown: passwords, tokens, keys, and URLs that may carry them.

How a secret is kept out of sight: the type marks its place in the JSON Schema with ``writeOnly``, from which
`gateway_core.config.redaction` knows what to hide in problems and excerpts; as a text, in a dump and in a traceback it
is ``**********``; only :meth:`Secret.reveal` and the canonical form, which goes to other processes of the gateway, have
the value.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from gateway_core.config.redaction import HIDDEN, without_credentials
from gateway_core.config.values import CANONICAL, check_header_value

USERINFO_KEY: Final = "x-may-hold-userinfo"
"""Marks, in a JSON Schema, a URL that may hold a user and a password."""


class Secret:
    """A text that only `reveal` returns; every other way to look at it shows asterisks.

    A type of configuration models: ``password: Secret | None = None``. Equal secrets are equal, in a time that does
    not depend on how much of them is; an empty one is false.
    """

    __slots__ = ("_value",)

    _marks: ClassVar[dict[str, Any]] = {"writeOnly": True}

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value: only where it is used, never for a text that people see."""
        return self._value

    def __str__(self) -> str:
        return HIDDEN if self._value else ""

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __len__(self) -> int:
        return len(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.union_schema(
            [
                core_schema.is_instance_schema(cls),
                core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True)),
            ],
            # The text's complaint is the one that helps; an instance comes only from code.
            custom_error_type="string_type",
            serialization=core_schema.plain_serializer_function_ser_schema(_shown, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", **cls._marks}

    @classmethod
    def checked(cls, check: Callable[[str], object]) -> Callable[[Self], Self]:
        """Return a validator that runs ``check`` over the value.

        :param check: raises ValueError with a text that must not hold the value.
        """

        def validate(secret: Self) -> Self:
            check(secret.reveal())
            return secret

        return validate


class SecretUrl(Secret):
    """A URL that may hold a user and a password; shown without them.

    ``redis://:hunter2@10.0.0.1/0`` is shown as ``redis://**********@10.0.0.1/0``.
    """

    __slots__ = ()

    _marks: ClassVar[dict[str, Any]] = {USERINFO_KEY: True}

    def __str__(self) -> str:
        return without_credentials(self._value)


SecretHeaderValue = Annotated[Secret, AfterValidator(Secret.checked(check_header_value))]
"""The value of a header field, which is never shown."""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _shown(value: Secret, info: SerializationInfo) -> object:
    if info.context is CANONICAL:
        return value.reveal()
    return str(value) if info.mode == "json" else value
