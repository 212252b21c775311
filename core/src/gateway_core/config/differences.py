"""What differs between two configurations, by key path. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway_core.config.api_document import shown
from gateway_core.config.redaction import HIDDEN

_NAMES: Final = ("id", "name")
"""What objects of lists are known by, whatever their order."""


def differences(before: Any, after: Any, path: str = "", key: str = "") -> Iterator[dict[str, Any]]:
    """Yield each value that differs: its key path, what it was and what it is, without secrets.

    What is on one side only is null on the other. A value that is hidden and differs is hidden on both sides.

    :param key: the last key of the path, which shows whether the value is hidden.
    """
    if before == after:
        return
    is_hidden = shown("", key) == HIDDEN
    if isinstance(before, Mapping) and isinstance(after, Mapping) and not is_hidden:
        for name in [*before, *(each for each in after if each not in before)]:
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(before.get(name), after.get(name), inner, str(name))
    elif isinstance(before, list) and isinstance(after, list) and not is_hidden:
        then, now = _named(before), _named(after)
        if then is None or now is None:
            yield {"path": path, "before": shown(before, key), "after": shown(after, key)}
            return
        for name in [*then, *(each for each in now if each not in then)]:
            yield from differences(then.get(name), now.get(name), f"{path}[{name}]")
        if list(then) != list(now) and set(then) == set(now):
            yield {"path": path, "before": list(then), "after": list(now)}
    else:
        yield {"path": path, "before": shown(before, key), "after": shown(after, key)}


def _named(values: list[Any]) -> dict[str, Any] | None:
    """Return the objects of a list by their names; None if one has none, or that of another one."""
    found: dict[str, Any] = {}
    for value in values:
        name = next((str(value[key]) for key in _NAMES if value.get(key)), None) if isinstance(value, Mapping) else None
        if name is None or name in found:
            return None
        found[name] = value
    return found
