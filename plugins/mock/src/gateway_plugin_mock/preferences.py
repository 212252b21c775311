"""What a request asks of a mocked response: Prefer (RFC 7240) and Accept (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 2000
"""Characters of a field that are looked at."""
_SEPARATORS: Final = re.compile(r"[,;]")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The response that is asked for."""

    code: int | None = None
    example: str | None = None

    @property
    def applied(self) -> str:
        """The value of Preference-Applied."""
        texts = [] if self.code is None else [f"code={self.code}"]
        return ", ".join(texts if self.example is None else [*texts, f'example="{self.example}"'])


def read_preferences(prefer: str | None) -> Preferences:
    """Return what ``Prefer: code=404, example=gone`` asks for; what cannot be read is not asked for."""
    if prefer is None or len(prefer) > _LONGEST:
        return Preferences()
    code, example = None, None
    for element in _SEPARATORS.split(prefer):
        name, _, value = element.partition("=")
        name, value = name.strip(" \t").lower(), value.strip(" \t").strip('"')
        if name == "code" and len(value) == 3 and value.isascii() and value.isdigit() and "200" <= value <= "599":
            code = int(value)
        elif name == "example" and value and '"' not in value and "\\" not in value:
            example = value
    return Preferences(code, example)


def acceptable(accept: str | None, offered: Iterable[str]) -> list[str]:
    """Return the media types of an offer that a client accepts: the ones that it likes most first, JSON before others.

    :param offered: types, possibly with parameters; ranges such as ``text/*`` stand for one of theirs (`concrete`).
    """
    weights = _weights(accept) if accept is not None and len(accept) <= _LONGEST else {"*/*": 1.0}
    liked = [(_weight_of(_name(concrete(each)), weights), each) for each in offered]
    return [each for weight, each in sorted(liked, key=lambda pair: (-pair[0], not is_json(pair[1]))) if weight > 0]


def is_json(media_type: str) -> bool:
    """Return whether values of a type are written as JSON."""
    name = _name(media_type)
    return name in {"application/json", "*/*", "application/*"} or name.endswith("+json")


def concrete(media_type: str) -> str:
    """Return a type that can be sent for one that may be a range."""
    name = _name(media_type)
    if name in {"*/*", "application/*"}:
        return "application/json"
    return "text/plain" if name == "text/*" else "application/octet-stream" if name.endswith("/*") else media_type


def _name(media_type: str) -> str:
    return media_type.partition(";")[0].strip(" \t").lower()


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for element in accept.split(","):
        name, *parameters = element.split(";")
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip(" \t").lower() == "q":
                weight = _number(value.strip(" \t"))
        if name.strip(" \t"):
            weights[_name(name)] = max(weight, weights.get(_name(name), 0.0))
    return weights or {"*/*": 1.0}


def _number(text: str) -> float:
    try:
        return min(1.0, float(text)) if text.replace(".", "", 1).isdecimal() and text.isascii() else 0.0
    except ValueError:
        return 0.0


def _weight_of(name: str, weights: dict[str, float]) -> float:
    """Return how much a type is liked, by the most specific range that takes it."""
    for each in (name, f"{name.partition('/')[0]}/*", "*/*"):
        if each in weights:
            return weights[each]
    return 0.0
