"""``map`` and ``geo``, where an ``if`` asks for their variables: as conditions of routes.

What a variable may be is known in advance, so an ``if`` that compares it holds for some sources and not for others.
Values that depend on the request, and lists whose order cannot be kept, have no condition.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_import.nginx.directives import Directive
from gateway_import.nginx.locations import whole
from gateway_import.nginx.values import escaped, python_regex, variables

_ADDRESSES: Final = ("$remote_addr", "$realip_remote_addr")
_FIELDS: Final = (("http_", "headers"), ("cookie_", "cookies"), ("arg_", "query"))
_SPECIAL: Final = frozenset({"hostnames", "volatile", "ranges", "delete", "proxy", "proxy_recursive", "include"})
_GROUP: Final = re.compile(r"(?<!\\)\(\?P<\w+>")
_BACK: Final = re.compile(r"\\[1-9]|\(\?P=|\\k")
_FALSE: Final = ("", "0")
Test = Callable[[str], bool]
Alternatives = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One ``map`` or ``geo``."""

    directive: Directive
    source: str
    entries: tuple[tuple[str, str], ...]
    default: str

    @property
    def is_geo(self) -> bool:
        return self.directive.name == "geo"


def lookups_of(directives: Iterable[Directive]) -> dict[str, Lookup]:
    """Return the lookups of a configuration by the names of their variables; those that are not known are left out."""
    found: dict[str, Lookup] = {}
    for each in directives:
        if each.name not in {"map", "geo"} or not each.args:
            continue
        source = each.args[0] if len(each.args) > 1 else _ADDRESSES[0]
        entries = [(inner.name, inner.args[0] if inner.args else "") for inner in each.inside()]
        is_known = not any(name in _SPECIAL or variables(value) for name, value in entries)
        if is_known and len(each.args) == (2 if each.name == "map" else len(each.args)):
            default = next((value for name, value in entries if name == "default"), "")
            kept = tuple((name, value) for name, value in entries if name != "default")
            found[each.args[-1].lstrip("$")] = Lookup(each, source, kept, default)
    return found


def conditions_of(lookup: Lookup, operator: str, value: str) -> Alternatives | None:
    """Return the conditions under which an ``if`` holds that compares a lookup's variable; None if there are none."""
    test = _test(operator, value)
    if test is None:
        return None
    return _networks(lookup, test) if lookup.is_geo else _fields(lookup, test)


def _test(operator: str, value: str) -> Test | None:
    if operator in {"~", "~*"}:
        found = python_regex(value)
        if found is None:
            return None
        pattern = re.compile(found[0], re.IGNORECASE if operator == "~*" else 0)
        return lambda text: pattern.search(text) is not None
    tests: Mapping[str, Test] = {
        "present": lambda text: text not in _FALSE,
        "=": lambda text: text == value,
        "!=": lambda text: text != value,
    }
    return tests.get(operator)


def _networks(lookup: Lookup, test: Test) -> Alternatives | None:
    if lookup.source not in _ADDRESSES[:1]:
        return None
    try:
        networks = [(ipaddress.ip_network(name, strict=False), test(value)) for name, value in lookup.entries]
    except ValueError:
        return None
    is_default = test(lookup.default)
    inside = [network for network, holds in networks if holds is not is_default]
    others = [network for network, holds in networks if holds is is_default]
    # The longest network counts: one that is as the default within one that is not has no condition.
    if any(a.version == b.version and a.subnet_of(b) for a in others for b in inside):  # type: ignore[arg-type]
        return None
    if not inside:
        return [{}] if is_default else None
    return [{"client_ip": {"none_of" if is_default else "one_of": [str(each) for each in inside]}}]


def _fields(lookup: Lookup, test: Test) -> Alternatives | None:
    place = next(
        (
            (key, lookup.source[1:].removeprefix(start))
            for start, key in _FIELDS
            if lookup.source.startswith(f"${start}")
        ),
        None,
    )
    patterns = list(_patterns(lookup.entries))
    if place is None or None in patterns or not place[1].isidentifier():
        return None
    key, name = place
    name = name.replace("_", "-") if key == "headers" else name
    is_default, is_for_none = test(lookup.default), test(_value(lookup, ""))
    known = [(pattern, is_literal, test(value)) for (pattern, is_literal, value) in patterns if pattern]  # type: ignore[misc]
    inside = [each for each in known if each[2] is not is_default]
    others = [each for each in known if each[2] is is_default]
    made: Alternatives = []
    if is_default:
        # An expression that asks for something not to be there takes short texts only: a longer one would get past it.
        if not all(is_literal for _, is_literal, _ in inside):
            return None
        made.append({key: {name: {"none_of": ["", *(each for each, value in lookup.entries if test(value) is False)]}}})
    elif inside:
        joined = "|".join(pattern for pattern, _, _ in inside)
        if others or re.fullmatch(joined, "") is not None:
            return None
        made.append({key: {name: {"regex": joined}}})
    if is_for_none:
        made += [{key: {name: {"present": False}}}, {key: {name: {"value": ""}}}]
    return made or None


def _patterns(entries: Iterable[tuple[str, str]]) -> Iterator[tuple[str, bool, str] | None]:
    """Yield the pattern of each entry, whether it is a literal, and its value; None for one that Python has not."""
    for name, value in entries:
        if not name.startswith("~"):
            yield f"(?i:{escaped(name.removeprefix(chr(92)))})" if name else "", True, value
            continue
        text, flags = (name[2:], "(?i:") if name.startswith("~*") else (name[1:], "(?:")
        found = python_regex(text)
        if found is None or _BACK.search(found[0]):
            yield None
        else:
            # Names of groups are there once in a pattern, and nothing reads these.
            yield f"{flags}{whole(_GROUP.sub('(?:', found[0]))})", False, value


def _value(lookup: Lookup, text: str) -> str:
    """Return what the variable is for one value of its source."""
    for name, value in lookup.entries:
        if not name.startswith("~") and name.lower() == text.lower():
            return value
    for name, value in lookup.entries:
        found = python_regex(name.lstrip("~").removeprefix("*")) if name.startswith("~") else None
        if found is not None and re.search(found[0], text, re.IGNORECASE if name.startswith("~*") else 0):
            return value
    return lookup.default


def users_of(directives: Iterable[Directive], name: str) -> Iterator[Directive]:
    """Yield the directives that need a variable for more than the condition of an ``if``, or a log."""
    for each in directives:
        if each.name in {"map", "geo"}:
            if each.args[-1:] != (f"${name}",) and any(name in variables(text) for text in _texts(each)):
                yield each
        elif each.name not in {"if", "log_format", "access_log"} and any(name in variables(arg) for arg in each.args):
            yield each
        else:
            yield from users_of(each.inside(), name)


def _texts(directive: Directive) -> Iterator[str]:
    yield from directive.args
    for each in directive.inside():
        yield from each.args
