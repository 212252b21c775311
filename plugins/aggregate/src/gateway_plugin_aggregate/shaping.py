"""What of a response is kept, and under which names: JSON pointers (RFC 6901), where ``*`` is every item or member.

The pointers of a list become one tree, so that a value is passed through once, however many there are: the work is
bounded by the size of the response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from gateway_plugin_sdk import MISSING

Steps = tuple[str, ...]
Tree = dict[str, Any]
"""What to do below each name: another tree, or what stands at its end (True, or a new name)."""
Change = Callable[[Any], Any]

_ESCAPE: Final = re.compile(r"~(?![01])")
_ALL: Final = "*"
_MOST_PLACES: Final = 4096


class ShapeError(ValueError):
    """A response has not the form that the configuration expects."""


def read_pointer(text: str) -> Steps:
    """Return the steps of a JSON pointer.

    :raises ValueError: it is none, or names the whole value.
    """
    if not text.startswith("/") or _ESCAPE.search(text):
        raise ValueError(f"{text[:80]!r} is not a JSON pointer: write /name, or /name/inner")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def _tree(ends: Iterable[tuple[Steps, Any]]) -> Tree:
    """Make a tree.

    :raises ValueError: what ``*`` stands for beside names makes too many places.
    """
    root: Tree = {}
    for steps, end in ends:
        tree = root
        for step in steps[:-1]:
            inner = tree.setdefault(step, {})
            if not isinstance(inner, dict):
                break  # a shorter pointer has all of it
            tree = inner
        else:
            tree[steps[-1]] = end
    return _with_all(root, [_MOST_PLACES])


def _with_all(tree: Tree, left: list[int]) -> Tree:
    """Have each name do what ``*`` beside it does, too, so that one look-up finds all."""
    left[0] -= len(tree)
    if left[0] < 0:
        raise ValueError(f"these pointers name more than {_MOST_PLACES} places: name fewer beside *")
    every = tree.get(_ALL)
    made: Tree = {}
    for name, inner in tree.items():
        joined = inner if every is None or name == _ALL else _joined(inner, every)
        made[name] = _with_all(joined, left) if isinstance(joined, dict) else joined
    return made


def _joined(first: Any, second: Any) -> Any:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second if isinstance(first, dict) else first
    return {**second, **{name: _joined(first[name], second[name]) if name in second else first[name] for name in first}}


def taking(pointer: str) -> Change:
    """Return what gives the part of a value at one place.

    :raises ShapeError: (the function) there is nothing.
    """
    steps = read_pointer(pointer)

    def take(value: Any) -> Any:
        for step in steps:
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and (index := _index(step)) is not None and index < len(value):
                value = value[index]
            else:
                raise ShapeError("there is nothing at the place to take")
        return value

    return take


def _index(step: str) -> int | None:
    return int(step) if step.isascii() and step.isdigit() and len(step) < 8 else None


def allowing(pointers: Iterable[str]) -> Change:
    """Return what keeps only the parts of a value at these places."""
    tree = _tree((read_pointer(each), True) for each in pointers)

    def allow(value: Any) -> Any:
        kept = _allowed(value, tree)
        return kept if kept is not MISSING else {}

    return allow


def _allowed(value: Any, tree: Any) -> Any:
    if tree is True:
        return value
    if isinstance(value, list):
        inner = tree.get(_ALL)
        if inner is None:
            return MISSING
        if inner is True:
            return value
        return [kept for each in value if (kept := _allowed(each, inner)) is not MISSING]
    if isinstance(value, dict):
        kept_members = ((name, _allowed(value[name], inner)) for name, inner in _matches(value, tree))
        return {name: kept for name, kept in kept_members if kept is not MISSING}
    return MISSING


def _matches(value: dict[str, Any], tree: Tree) -> Iterator[tuple[str, Any]]:
    """Yield the names of an object that a tree has, in the object's order where that takes no more steps."""
    if _ALL in tree:
        every = tree[_ALL]
        return ((name, tree.get(name, every)) for name in value)
    if len(tree) < len(value):
        return ((name, inner) for name, inner in tree.items() if name in value)
    return ((name, tree[name]) for name in value if name in tree)


def denying(pointers: Iterable[str]) -> Change:
    """Return what removes the parts of a value at these places."""
    return _editing(_tree((read_pointer(each), True) for each in pointers))


def renaming(names: Mapping[str, str]) -> Change:
    """Return what gives members other names, in the objects where they are.

    :raises ValueError: one of them is below another one, or is ``*``.
    """
    places = [read_pointer(pointer) for pointer in names]
    for place, pointer in zip(places, names, strict=True):
        if place[-1] == _ALL:
            raise ValueError(f"{pointer!r} ends with *: name one member")
        if any(other != place and other[: len(place)] == place for other in places):
            raise ValueError(f"{pointer!r} is on the way to another member that gets a name: rename one of them")
    return _editing(_tree((read_pointer(pointer), name) for pointer, name in names.items()))


def _editing(tree: Tree) -> Change:
    def edit(value: Any) -> Any:
        _edit(value, tree)
        return value

    return edit


def _edit(value: Any, tree: Tree) -> None:
    if isinstance(value, list):
        inner = tree.get(_ALL)
        if inner is True:
            value.clear()
        elif isinstance(inner, dict):
            for each in value:
                if isinstance(each, dict | list):
                    _edit(each, inner)
    elif isinstance(value, dict):
        ends = []
        for name, inner in _matches(value, tree):
            if isinstance(inner, dict):
                _edit(value[name], inner)
            else:
                ends.append((name, inner))
        moved = [(end, value.pop(name)) for name, end in ends]
        value.update((name, each) for name, each in moved if name is not True)
