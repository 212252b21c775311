"""``modifier/martian``: modifiers of header fields as rules of the plugin `headers`; any other one is a guard."""

from __future__ import annotations

from typing import Any, Final

from gateway_import.failures import Origin
from gateway_import.model import Imported, keeps_secret
from gateway_import.nginx.values import literal
from gateway_import.sections import Section

_SIDES: Final = ("request", "response")
_SET, _APPEND, _REMOVE, _GROUP = "header.Modifier", "header.Append", "header.Blacklist", "fifo.Group"


def header_rules(imported: Imported, section: Section) -> dict[str, Any] | None:
    """Return the configuration of `headers`; None if a modifier does something else, or what it does is not known."""
    found: dict[str, Any] = {side: {} for side in _SIDES}
    if not _read(imported, section, found, _SIDES):
        return None
    return {side: rules for side, rules in found.items() if rules}


def _read(imported: Imported, section: Section, found: dict[str, Any], within: tuple[str, ...]) -> bool:
    names = section.names()
    if len(names) != 1 or names[0] not in {_SET, _APPEND, _REMOVE, _GROUP}:
        return False
    modifier = section.section(names[0], f"{names[0]} of {section.what}")
    if modifier is None:
        return False
    sides = tuple(side for side in modifier.texts("scope") if side in within)
    if names[0] == _GROUP:
        modifier.ignore("aggregateErrors")
        inner = modifier.sections("modifiers", f"a modifier of {section.what}")
        return all(_read(imported, each, found, sides) for each in inner) and not list(modifier.rest())
    if names[0] == _REMOVE:
        removed = modifier.texts("names")
        for side in sides:
            found[side].setdefault("remove", []).extend(removed)
        return not list(modifier.rest())
    name, value = modifier.text("name") or "", modifier.text("value") or ""
    if not name or not value or name.lower() == "host":
        return False
    for side in sides:
        rules = found[side].setdefault("set" if names[0] == _SET else "add", {})
        rules[name] = _value(imported, name, value, modifier.origin_of("value"))
    return not list(modifier.rest())


def _value(imported: Imported, name: str, value: str, origin: Origin) -> Any:
    if keeps_secret(name, value):
        return imported.secret(f"krakend {name}", f"value of {name}", origin)
    return literal(value)
