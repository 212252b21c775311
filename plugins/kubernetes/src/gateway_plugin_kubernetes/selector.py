"""Label selectors, as kubectl takes them (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"==|!=|[=!,()]|[-A-Za-z0-9_./]+")
LONGEST_NAME: Final = 63
"""Characters of a value, and of a key without its prefix."""

_SIGNS: Final = frozenset({"=", "==", "!="})


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one label must be."""

    key: str
    values: frozenset[str] | None = None
    """None is any value."""
    is_negated: bool = False
    """Whether the label must not be there, or not have one of the values; it may be missing then."""

    def allows(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels has what is required."""
        value = labels.get(self.key)
        is_met = value is not None and (self.values is None or value in self.values)
        return is_met is not self.is_negated


@dataclass(frozen=True, slots=True)
class Selector:
    """Several requirements, all of which count."""

    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector such as ``app=shop,tier!=test,zone in (a, b),!old``.

        :raises ValueError: it is none.
        """
        try:
            return cls(tuple(_requirements(_tokens(text))))
        except ValueError as error:
            raise ValueError(f"{text!r} is no label selector, {error}: write for example app=shop,tier!=test") from None

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(requirement.allows(labels) for requirement in self.requirements)


def _tokens(text: str) -> list[str]:
    """Return names, signs and punctuation, the last first."""
    left = _TOKEN.sub("", text).strip()
    if left:
        raise ValueError(f"which has no {left[0]!r}")
    return _TOKEN.findall(text)[::-1]


def _requirements(tokens: list[str]) -> Iterator[Requirement]:
    while True:
        yield _requirement(tokens)
        if not tokens:
            return
        _expect(tokens, ",")


def _requirement(tokens: list[str]) -> Requirement:
    first = _next(tokens)
    if first == "!":
        return Requirement(_label(_next(tokens)), is_negated=True)
    key, following = _label(first), tokens[-1] if tokens else ""
    if following in _SIGNS:
        sign = tokens.pop()
        value = "" if not tokens or tokens[-1] == "," else _label(tokens.pop(), is_value=True)
        return Requirement(key, frozenset({value}), is_negated=sign == "!=")
    if following not in {"in", "notin"}:
        return Requirement(key)
    is_negated = tokens.pop() == "notin"
    _expect(tokens, "(")
    values = {_label(_next(tokens), is_value=True)}
    while tokens and tokens[-1] == ",":
        tokens.pop()
        values.add(_label(_next(tokens), is_value=True))
    _expect(tokens, ")")
    return Requirement(key, frozenset(values), is_negated=is_negated)


def _label(token: str, *, is_value: bool = False) -> str:
    """Return the key, or the value, of a label."""
    name = token if is_value else token.rpartition("/")[2]
    if not name[:1].isalnum() or not name[-1:].isalnum() or "/" in name or len(name) > LONGEST_NAME:
        raise ValueError(f"where {token!r} cannot be the {'value' if is_value else 'key'} of a label")
    return token


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise ValueError("since it ends too early")
    return tokens.pop()


def _expect(tokens: list[str], wanted: str) -> None:
    found = _next(tokens)
    if found != wanted:
        raise ValueError(f"where {found!r} stands for {wanted!r}")
