"""The syntax tree of a regular expression, as far as work and translation depend on it."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[int, int]
"""The first and the last code point."""


@dataclass(frozen=True, slots=True)
class Chars:
    r"""One character out of a set: a literal, a class, or ``.``.

    ``categories`` are letters of ``\d``, ``\w``, ``\s`` and their complements; with ``ascii_only`` they are those of
    ``re.ASCII``. ``source`` is the set as it is written.
    """

    source: str
    ranges: tuple[Range, ...] = ()
    categories: str = ""
    negated: bool = False
    ignore_case: bool = False
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place without width: ``start``, ``end``, ``line_start``, ``line_end``, ``boundary`` or ``no_boundary``."""

    kind: str
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Concat:
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of several, the first that fits."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A quantifier; ``most`` is ``None`` where there is no upper end."""

    item: Node
    least: int
    most: int | None
    lazy: bool = False
    possessive: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A group that captures."""

    item: Node
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A lookahead or lookbehind."""

    item: Node
    behind: bool


@dataclass(frozen=True, slots=True)
class Atomic:
    """A group that gives nothing back."""

    item: Node


@dataclass(frozen=True, slots=True)
class Backreference:
    """What a group matched, once more."""


@dataclass(frozen=True, slots=True)
class Conditional:
    """Alternatives that depend on whether a group took part."""

    items: tuple[Node, ...]


Node = Chars | Anchor | Concat | Alternatives | Repeat | Group | Look | Atomic | Backreference | Conditional


def literal_start(node: Node) -> str:
    """Return characters that whatever matches must begin with; not all that there are."""
    text = ""
    for item in node.items if isinstance(node, Concat) else (node,):
        if not isinstance(item, Chars) or item.negated or item.ignore_case or item.categories or len(item.ranges) != 1:
            break
        first, last = item.ranges[0]
        if first != last:
            break
        text += chr(first)
    return text
