"""A value of a line, as the Python expression that reads it.

A line has twenty values and is made for every request, so calling twenty getters would cost as much as the line itself.
Instead each value is a piece of source text over ``request``, ``response`` and ``record`` (and ``head``, the request's
fields, and ``target``, as the client sent it); what a binding needs is put together once, when it is made, and compiled
to one function (`gateway_plugin_logger.formats.compiler`). The texts are ours: nothing of a configuration ever becomes
source text, only names of things that are bound beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count
from types import MappingProxyType
from typing import Any, Final

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_numbers = count(1)


class Kind(Enum):
    """What a value is, and so how it is written and compared."""

    TEXT = "text"
    """Text of any characters."""
    WIRE = "wire"
    """Text of characters that came over the wire, among which are no surrogates: not one of JSON that was decoded."""
    CLEAN = "clean"
    """Text that never needs escaping, such as a time or an address."""
    WORD = "word"
    """Text of any characters that mostly is one of few, such as a method: how it is written is remembered."""
    INTEGER = "integer"
    CODE = "code"
    """A number that mostly is one of few, such as a status: how it is written is remembered."""
    NUMBER = "number"
    """Written with three decimals."""
    MILLISECONDS = "milliseconds"
    """Seconds, written as milliseconds."""
    OBJECT = "object"
    """Anything that JSON can say."""

    @property
    def is_text(self) -> bool:
        return self in {Kind.TEXT, Kind.WIRE, Kind.CLEAN, Kind.WORD}

    @property
    def is_number(self) -> bool:
        return self in {Kind.INTEGER, Kind.CODE, Kind.NUMBER, Kind.MILLISECONDS}


@dataclass(frozen=True, slots=True)
class Value:
    """An expression that reads one value of a request that is over."""

    source: str
    kind: Kind = Kind.TEXT
    optional: bool = False
    """Whether it may be None: there is no such thing in this request."""
    names: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)
    """What the source calls beside ``request``, ``response`` and ``record``, by the name that it uses."""

    def through(self, function: Callable[[Any], Any], *, kind: Kind | None = None) -> Value:
        """Return the value changed by a function, which is not called for None."""
        name, read = fresh_name("change"), fresh_name("read")
        changed = f"{name}({self.source})"
        if self.optional:
            changed = f"(None if ({read} := {self.source}) is None else {name}({read}))"
        bound = {**self.names, name: function}
        return replace(self, source=changed, names=bound, kind=self.kind if kind is None else kind)


def fresh_name(stem: str) -> str:
    """Return a name that no other value uses."""
    return f"_{stem}_{next(_numbers)}"
