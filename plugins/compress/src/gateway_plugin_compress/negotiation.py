"""Which coding a response gets: decided by Accept-Encoding (RFC 9110 section 12.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST: Final = 500
"""Characters of Accept-Encoding that are looked at: real ones have 40."""
_NAMES: Final = {"x-gzip": "gzip"}


def choose_coding(accepted: str, offered: Sequence[str]) -> str | None:
    """Return the coding that the client likes most, of several the first that is offered; None for none.

    :param accepted: the value of Accept-Encoding.
    """
    if len(accepted) > LONGEST:
        return None
    weights: dict[str, float] = {}
    for element in accepted.lower().split(","):
        name, _, parameters = element.partition(";")
        name = name.strip(" \t")
        if name:
            weights[_NAMES.get(name, name)] = _weight(parameters)
    others = weights.get("*", 0.0)
    best, most = None, max(0.0, weights.get("identity", 0.0)) if "identity" in weights else 0.0
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > most or (best is None and weight == most and weight > 0.0):
            best, most = coding, weight
    return best


def _weight(parameters: str) -> float:
    """Return the weight that ``q=0.5`` gives; what cannot be read is no wish for the coding."""
    if not parameters:
        return 1.0
    name, _, value = parameters.partition("=")
    if name.strip(" \t") != "q":
        return 0.0
    digits = value.strip(" \t")
    if not digits or digits.strip("0123456789.") or digits.count(".") > 1 or digits == ".":
        return 0.0
    return min(1.0, float(digits))


class Types:
    """Media types as the configuration writes them."""

    __slots__ = ("_exact", "_known", "_patterns")

    def __init__(self, types: Sequence[str]) -> None:
        self._exact = frozenset(each for each in types if "*" not in each)
        self._patterns = tuple(tuple(each.split("*", 1)) for each in types if "*" in each)
        self._known: dict[bytes, bool] = {}

    def have(self, content_type: bytes) -> bool:
        """Return whether a value of Content-Type is one of them."""
        known = self._known.get(content_type)
        if known is None:
            name = content_type.partition(b";")[0].strip(b" \t").lower().decode("latin-1")
            known = name in self._exact or any(
                name.startswith(start) and name.endswith(end) and len(name) > len(start) + len(end)
                for start, end in self._patterns
            )
            if len(self._known) >= 256:
                self._known.clear()
            self._known[content_type] = known
        return known
