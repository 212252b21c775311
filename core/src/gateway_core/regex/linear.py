"""RE2, if it is installed (``pip install gateway-core[re2]``): its time is linear in the text, whatever the pattern."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

_MOST_MEMORY: Final = 4 << 20
"""Bytes for one pattern's program and its caches; RE2 refuses a pattern that needs more."""
_MOST_STEPS: Final = 500_000
"""Positions of the pattern times characters: RE2 may look at each position for each character, which takes 25 ns."""


class LinearError(ValueError):
    """RE2 cannot take a pattern."""


class Spans(Protocol):
    """Where a match and its groups are."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return where a group begins and ends, (-1, -1) if it took no part."""


class LinearPattern:
    """One pattern in RE2."""

    __slots__ = ("_compiled", "longest")

    def __init__(self, compiled: Any, size: int) -> None:
        self._compiled = compiled
        self.longest = _MOST_STEPS // max(size, 1)
        """The length of the longest text that is certain to take no more than about 10 ms."""

    def fullmatch(self, text: str) -> Spans | None:
        """Match the whole text."""
        found: Spans | None = self._compiled.fullmatch(_encodable(text))
        return found

    def search(self, text: str) -> Spans | None:
        """Look for the first match."""
        found: Spans | None = self._compiled.search(_encodable(text))
        return found

    def find_all(self, text: str) -> Sequence[Spans]:
        """Return all matches that do not overlap."""
        return list(self._compiled.finditer(_encodable(text)))


def is_installed() -> bool:
    """Return whether RE2 is there."""
    return _engine() is not None


def compile_linear(text: str, size: int = 1) -> LinearPattern | None:
    """Compile what :func:`gateway_core.regex.translate.translate` made; ``None`` without RE2.

    :param size: how many positions the pattern has, all repetitions written out.

    :raises LinearError: it is too large.
    """
    engine = _engine()
    if engine is None:
        return None
    options = engine.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    try:
        return LinearPattern(engine.compile(text, options), size)
    except engine.error as error:
        raise LinearError(str(error)) from None


def _engine() -> Any:
    # pyre2 has the same module name; it hands to `re` what RE2 does not take, which is what must not happen.
    try:
        module = importlib.import_module("re2")
    except ImportError:
        return None
    return module if hasattr(module, "Options") else None


def _encodable(text: str) -> str:
    """Return a text of the same length without lone surrogates, which stand for bytes that are no UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
