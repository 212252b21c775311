"""Places in JSON values: JSON pointers (RFC 6901) in which ``*`` stands for every item or member."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway_plugin_transform.budget import Budget

Steps = tuple[str, ...]
MISSING: Any = object()
"""What `get` returns where there is nothing."""


def read_pointer(text: str) -> Steps:
    """Return the steps of a pointer such as ``/user/name``.

    :raises ValueError: it is none, or names the whole value.
    """
    if not text.startswith("/"):
        raise ValueError(f"{text[:80]!r} is not a JSON pointer: write one such as /user/name")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def _index(items: list[Any], step: str) -> int | None:
    """Return the index that a step names in a list, if it is there."""
    if not step.isascii() or not step.isdigit() or len(step) > 9 or (len(step) > 1 and step[0] == "0"):
        return None
    return int(step) if int(step) < len(items) else None


def _inner(value: Any, step: str, budget: Budget) -> Iterator[Any]:
    if isinstance(value, dict):
        if step == "*":
            budget.spend(len(value))
            yield from value.values()
        elif step in value:
            yield value[step]
    elif isinstance(value, list):
        if step == "*":
            budget.spend(len(value))
            yield from value
        elif (index := _index(value, step)) is not None:
            yield value[index]


def parents(value: Any, steps: Steps, budget: Budget) -> Iterator[Any]:
    """Yield the objects and lists that hold what the last step names, or could hold it."""
    if len(steps) == 1:
        if isinstance(value, dict | list):
            yield value
        return
    for inner in _inner(value, steps[0], budget):
        yield from parents(inner, steps[1:], budget)


def remove(value: Any, steps: Steps, budget: Budget) -> None:
    """Remove what is at a place; nothing if there is nothing.

    :raises OverBudgetError: ``*`` stands for too many items and members.
    """
    last = steps[-1]
    for parent in list(parents(value, steps, budget)):
        if last == "*":
            parent.clear()
        elif isinstance(parent, dict):
            parent.pop(last, None)
        elif (index := _index(parent, last)) is not None:
            del parent[index]


def pop(value: Any, steps: Steps, budget: Budget) -> Any:
    """Remove what is at a place without ``*``, and return it; `MISSING` if there is nothing."""
    for parent in parents(value, steps, budget):
        if isinstance(parent, dict):
            return parent.pop(steps[-1], MISSING)
        if (index := _index(parent, steps[-1])) is not None:
            return parent.pop(index)
    return MISSING


def put(value: Any, steps: Steps, new: Any, budget: Budget, *, only_if_absent: bool = False) -> None:
    """Put a value at a place. Objects on the way are made; ``-`` appends to a list.

    Where something else is on the way, such as a text, nothing is put.

    :raises OverBudgetError: ``*`` stands for too many items and members.
    """
    first, *rest = steps
    if rest:
        if isinstance(value, dict) and first != "*":
            value.setdefault(first, {})
        for inner in list(_inner(value, first, budget)):
            put(inner, tuple(rest), new, budget, only_if_absent=only_if_absent)
    elif isinstance(value, dict):
        if first == "*":
            budget.spend(len(value))
        for name in list(value) if first == "*" else [first]:
            if not only_if_absent or name not in value:
                value[name] = new
    elif isinstance(value, list):
        if first == "*":
            budget.spend(len(value))
        _put_item(value, first, new, only_if_absent=only_if_absent)


def _put_item(items: list[Any], step: str, new: Any, *, only_if_absent: bool) -> None:
    if step == "-":
        items.append(new)
    elif not only_if_absent:
        for index in range(len(items)) if step == "*" else [_index(items, step)]:
            if index is not None:
                items[index] = new
