"""Which location of a server takes a request, in the order in which routes are tried.

nginx takes an exact location, else it remembers the longest prefix; then regular expressions are tried in the order of
the file, unless that prefix has ``^~``; else the longest prefix is taken. Locations in the remembered one are looked at
before the expressions outside. Here each location is a route, and the first in this order that matches is the one that
nginx takes. An expression within a prefix holds only while no longer prefix is there; its pattern says that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.values import escaped, python_regex

REGEX_KINDS: Final = ("~", "~*")
_LITERAL: Final = re.compile(r"\^?([A-Za-z0-9_/-]*)")
_PLAIN: Final = frozenset(
    {"add_header", "expires", "access_log", "error_log", "log_not_found", "etag", "gzip", "gzip_static", "try_files"}
)
"""What a location may have and still serve the file that any other one would."""


@dataclass(slots=True)
class Location:
    """One ``location``."""

    kind: str
    """``=``, ``^~``, ``~``, ``~*``, ``@``, or nothing for a plain prefix."""
    pattern: str
    directive: Directive
    context: Context
    nested: list[Location] = field(default_factory=list)

    @property
    def name(self) -> str:
        return " ".join(each for each in ("location", self.kind if self.kind != "@" else "", self.pattern) if each)


@dataclass(frozen=True, slots=True)
class Region:
    """The paths of a prefix without those of longer ones."""

    inside: str = ""
    outside: tuple[str, ...] = ()

    def regex(self) -> str:
        """Return what stands before a pattern to confine it."""
        without = "".join(f"(?!{escaped(each)})" for each in self.outside)
        return (f"(?={escaped(self.inside)})" if self.inside not in {"", "/"} else "") + without


@dataclass(frozen=True, slots=True)
class Choice:
    """A location with the paths for which it is taken, unless an earlier choice was."""

    location: Location
    region: Region = Region()

    @property
    def is_regex(self) -> bool:
        return self.location.kind in REGEX_KINDS

    def keys(self) -> dict[str, Any]:
        """Return the conditions of a route for its paths."""
        location = self.location
        if location.kind == "=" and not set(location.pattern) & {":", "*"}:
            return {"path": location.pattern}
        if not self.is_regex and location.pattern in {"/", ""} and not self.region.outside:
            return {}
        found = self.regex()
        return {} if found is None else {"path_regex": found[0]}

    def regex(self, rest: str = ".*") -> tuple[str, dict[str, str]] | None:
        """Return the pattern of its paths and the names of its groups; None if Python has no such pattern.

        :param rest: what stands for that which follows a prefix.
        """
        location = self.location
        if not self.is_regex:
            end = "" if location.kind == "=" else rest
            return f"{self.region.regex()}{escaped(location.pattern)}{end}", {}
        found = python_regex(location.pattern)
        if found is None:
            return None
        pattern, groups = found
        flags = "(?i)" if location.kind == "~*" else ""
        return f"{flags}{self._confined(pattern)}", groups

    def _confined(self, pattern: str) -> str:
        inside = self.region.inside
        if pattern.startswith(r"\.") and "." not in inside and inside != "/" and not self.region.outside:
            return f"{escaped(inside)}{whole(pattern)}"
        if pattern.startswith(f"^{escaped(inside)}") and not self.region.outside:
            return whole(pattern)
        return f"{self.region.regex()}{whole(pattern)}"


def whole(pattern: str) -> str:
    """Return a pattern that is searched for as one that matches from end to end."""
    if has_alternatives(pattern):
        return f".*(?:{pattern}).*"
    start = pattern[1:] if pattern.startswith("^") else f".*{pattern}"
    if start.endswith("$") and not start.endswith(r"\$"):
        return start[:-1]
    return f"{start}.*"


def has_alternatives(pattern: str) -> bool:
    """Whether ``|`` stands outside of all groups."""
    depth, in_class, position = 0, False, 0
    while position < len(pattern):
        here = pattern[position]
        if here == "\\":
            position += 1
        elif in_class:
            in_class = here != "]"
        elif here == "[":
            in_class = True
        elif here == "|" and depth == 0:
            return True
        else:
            depth += (here == "(") - (here == ")")
        position += 1
    return False


def locations_of(directives: Iterable[Directive], parent: Context) -> list[Location]:
    """Return the locations of a block, each with those in it."""
    found = []
    for each in directives:
        if each.name != "location" or not each.args:
            continue
        kind, pattern = each.args if len(each.args) == 2 else _split(each.value)
        context = Context(each.inside(), parent)
        found.append(Location(kind, pattern, each, context, locations_of(each.inside(), context)))
    return found


def _split(text: str) -> tuple[str, str]:
    """Read a location whose modifier has no space behind it (``=/x``)."""
    for kind in ("^~", "~*", "~", "="):
        if text.startswith(kind):
            return kind, text.removeprefix(kind)
    return ("@", text) if text.startswith("@") else ("", text)


def is_taken(index: str, choice: Choice, locations: Iterable[Location]) -> bool:
    """Whether another location that does something of its own may take an index of a directory of a choice."""
    for each in locations:
        if is_taken(index, choice, each.nested):
            return True
        if each is choice.location or all(inner.name in _PLAIN for inner in each.context.directives):
            continue
        if each.kind in REGEX_KINDS:
            found = python_regex(each.pattern)
            flags = re.IGNORECASE if each.kind == "~*" else 0
            if found is None or any(re.search(found[0], path, flags) for path in _indexes(index, choice, each)):
                return True
        elif each.kind != "@":
            last = each.pattern.rpartition("/")[2]
            if last == index or (last and each.kind != "=" and index.startswith(last)):
                return True
    return "/" in index


def _indexes(index: str, choice: Choice, other: Location) -> set[str]:
    """Return paths of an index that an expression may take: at the top, in the choice's, and in its own directory."""
    own = "" if choice.is_regex else choice.location.pattern.rstrip("/")
    literal = _LITERAL.match(other.pattern)
    assert literal is not None
    return {f"/{index}", f"{own}/{index}", f"{literal[1].rpartition('/')[0]}/{index}"}


def location_of(template: str, locations: list[Location]) -> Location | None:
    """Return the location that takes every path of a template (``/new/:rest``); None if it is not the same for all."""
    fixed = template.partition(":")[0]
    is_fixed = fixed == template
    exact = [each for each in locations if each.kind == "="]
    if is_fixed and (found := next((each for each in exact if each.pattern == fixed), None)):
        return found
    prefixes = [each for each in locations if each.kind in {"", "^~"}]
    further = [each for each in [*exact, *prefixes] if each.pattern.startswith(fixed) and each.pattern != fixed]
    if not is_fixed and (further or any(each.pattern == fixed for each in exact)):
        return None
    taking = [each for each in prefixes if fixed.startswith(each.pattern)]
    longest = max(taking, key=lambda each: len(each.pattern), default=None)
    if longest is None or longest.nested:
        return None
    if longest.kind == "^~" or not any(_may_take(each, fixed, is_fixed=is_fixed) for each in locations):
        return longest
    return None


def _may_take(location: Location, path: str, *, is_fixed: bool) -> bool:
    """Whether an expression may take a path, of which only the beginning is known unless it is fixed."""
    if location.kind not in REGEX_KINDS:
        return False
    found = python_regex(location.pattern)
    flags = re.IGNORECASE if location.kind == "~*" else 0
    return found is None or not is_fixed or re.search(found[0], path, flags) is not None


def ordered(locations: list[Location], region: Region = Region()) -> Iterator[Choice]:
    """Yield all locations, the one that decides first."""
    yield from _deciding(locations, region)
    yield from _plain(locations, region)


def _deciding(locations: list[Location], region: Region) -> Iterator[Choice]:
    """Yield what is taken whatever the plain prefixes around are."""
    prefixes = _by_length(locations, ("^~", ""))
    for each in locations:
        if each.kind == "=":
            yield Choice(each)
    for each in prefixes:
        inner = Region(each.pattern, region.outside + _longer(each, prefixes))
        yield from _deciding(each.nested, inner)
        if each.kind == "^~":
            yield from _plain(each.nested, inner)
            yield Choice(each, Region("", inner.outside))
    for each in locations:
        if each.kind in REGEX_KINDS:
            yield Choice(each, region)


def _plain(locations: list[Location], region: Region) -> Iterator[Choice]:
    for each in _by_length(locations, ("",)):
        yield from _plain(each.nested, region)
        yield Choice(each, Region("", region.outside))


def _by_length(locations: list[Location], kinds: tuple[str, ...]) -> list[Location]:
    return sorted((each for each in locations if each.kind in kinds), key=lambda each: -len(each.pattern))


def _longer(location: Location, prefixes: list[Location]) -> tuple[str, ...]:
    return tuple(
        each.pattern
        for each in prefixes
        if not each.kind and len(each.pattern) > len(location.pattern) and each.pattern.startswith(location.pattern)
    )
