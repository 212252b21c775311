"""Ranges of statuses as configurations write them: ``404``, ``500-599``, ``5xx``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic_core import core_schema

from gateway_core.config.values import InvalidValueError

_PATTERN: Final = r"^(?:[1-9]xx|[1-9][0-9]{2}(?:-[1-9][0-9]{2})?)$"
_RANGE: Final = re.compile(r"([1-9])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")
STATUSES_WORD: Final = "a status or a range of statuses"
_REMEDY: Final = "write for example 404, 500-599 or 5xx"


@dataclass(frozen=True, slots=True)
class StatusRange:
    """The statuses from a first to a last one; a field of a configuration model may have it as its type."""

    first: int
    last: int

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read ``404`` (text or number), ``500-599`` or ``5xx``.

        :raises InvalidValueError: for anything else.
        """
        if isinstance(value, cls):
            return value
        found = None if isinstance(value, bool) else _RANGE.fullmatch(str(value))
        if found is None:
            raise InvalidValueError("is not a status or a range of statuses", remedy=_REMEDY)
        hundreds, first, last = found.groups()
        low, high = (int(hundreds) * 100, int(hundreds) * 100 + 99) if hundreds else (int(first), int(last or first))
        if low > high:
            raise InvalidValueError("ends before it begins", remedy=f"write {high}-{low}")
        return cls(low, high)

    def __contains__(self, status: int) -> bool:
        return self.first <= status <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "integer", "minimum": 100, "maximum": 999}, {"type": "string", "pattern": _PATTERN}],
            "x-expected": STATUSES_WORD,
            "x-remedy": _REMEDY,
        }
