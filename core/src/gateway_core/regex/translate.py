"""Write a pattern so that RE2 and `re` agree on it."""

from __future__ import annotations

from gateway_core.regex.charsets import to_re2
from gateway_core.regex.nodes import (
    Alternatives,
    Anchor,
    Atomic,
    Backreference,
    Chars,
    Concat,
    Conditional,
    Group,
    Look,
    Node,
    Repeat,
)

_ANCHORS = {"start": r"\A", "end": r"\z", "line_start": "(?m:^)", "line_end": "(?m:$)"}
_NAMES = {
    Look: "a lookahead or lookbehind",
    Atomic: "an atomic group",
    Backreference: "a back-reference",
    Conditional: "a conditional group",
}
_MOST_COPIES = 1000
"""RE2 refuses greater numbers in a quantifier."""


class UntranslatableError(ValueError):
    """The pattern has something that a linear-time engine cannot do; the message names it."""


def translate(node: Node) -> str:
    """Return what RE2 has to be given. Groups keep their numbers and lose their names.

    :raises UntranslatableError: RE2 has nothing that does the same.
    """
    match node:
        case Chars():
            return to_re2(node)
        case Anchor():
            return _anchor(node)
        case Concat(items):
            return "".join(
                [f"(?:{translate(each)})" if isinstance(each, Alternatives) else translate(each) for each in items]
            )
        case Alternatives(items):
            return "|".join(map(translate, items))
        case Group(item):
            return f"({translate(item)})"
        case Repeat():
            return _repeat(node)
        case Look() | Atomic() | Backreference() | Conditional():
            raise UntranslatableError(_NAMES[type(node)])


def size_of(node: Node) -> int:
    """Return how many positions a pattern has if every counted repetition is written out, as RE2 does."""
    match node:
        case Concat(items) | Alternatives(items) | Conditional(items):
            return sum(map(size_of, items))
        case Repeat(item, least, most):
            return size_of(item) * max(most if most is not None else least + 1, 1)
        case Group(item) | Look(item) | Atomic(item):
            return size_of(item)
        case _:
            return 1


def _anchor(anchor: Anchor) -> str:
    if anchor.kind in _ANCHORS:
        return _ANCHORS[anchor.kind]
    if anchor.kind == "boundary" and anchor.ascii_only:
        return r"\b"
    # RE2 knows boundaries of ASCII words only, and finds \B in an empty text, which `re` does before 3.14 not.
    raise UntranslatableError(r"'\b' without (?a), or '\B'")


def _repeat(repeat: Repeat) -> str:
    if repeat.possessive:
        raise UntranslatableError("a possessive quantifier")
    if max(repeat.least, repeat.most or 0) > _MOST_COPIES:
        raise UntranslatableError(f"a repetition of more than {_MOST_COPIES}")
    if _may_be_empty(repeat.item) and _has_group(repeat.item):
        raise UntranslatableError("a repeated group that may be empty")
    most = "" if repeat.most is None else str(repeat.most)
    return f"(?:{translate(repeat.item)}){{{repeat.least},{most}}}{'?' * repeat.lazy}"


def _may_be_empty(node: Node) -> bool:
    match node:
        case Chars():
            return False
        case Concat(items):
            return all(map(_may_be_empty, items))
        case Alternatives(items) | Conditional(items):
            return any(map(_may_be_empty, items))
        case Group(item) | Atomic(item):
            return _may_be_empty(item)
        case Repeat(item, least):
            return least == 0 or _may_be_empty(item)
        case _:
            return True


def _has_group(node: Node) -> bool:
    match node:
        case Group():
            return True
        case Concat(items) | Alternatives(items) | Conditional(items):
            return any(map(_has_group, items))
        case Repeat(item) | Look(item) | Atomic(item):
            return _has_group(item)
        case _:
            return False
