"""``replacePathRegex`` and ``redirectRegex``: expressions as conditions, replacements as templates.

What an expression of a URL makes of scheme and host is found out for the hosts that a router asks for, since these are
known. What it makes of a path must be the same for all paths: its groups are whole segments of the new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway_import.nginx.locations import has_alternatives, whole
from gateway_import.nginx.redirects import template_of
from gateway_import.nginx.values import python_regex

_BRACES: Final = re.compile(r"\$\{(\w+)\}")
_TAIL: Final = re.compile(r"/?\((?:\?P<\w+>)?\.[*+]\)\$?")
_FIXED: Final = re.compile(r"(?:[A-Za-z0-9/_-]|\\?\.|\(\?P<\w+>|[|)])+\$?")
"""A path without repetitions, of which some write alternatives in a group."""
_ONE_HOST: Final = frozenset({"(?P<g1>https?://[^/]+)", "(?P<g1>https?://[^/]*)", "https?://[^/]+", "https?://[^/]*"})
_ALL_BEFORE: Final = frozenset({"(?P<g1>.*)", "(?P<g1>.+)", ".*", "(?P<g1>https?://.*)", "https?://.*", "https?://(?P<g1>.*)",
                                "https://(?P<g1>.*)", "(?P<g1>https://.*)"})  # fmt: skip
_URL: Final = re.compile(r"(https?)://([^/]*)(?:/(.*))?")
_PROBE: Final = "a/b-c"
_ANY_HOST: Final = "host.invalid"
_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Redirected:
    """What a redirect takes, and where it leads."""

    conditions: dict[str, Any]
    keys: dict[str, Any]


def new_path(pattern: str, replacement: str) -> tuple[str, str] | None:
    """Return the expression of whole paths and the template that replaces them; None if there is none for all."""
    found = python_regex(pattern)
    entire = None if found is None or not found[0].startswith("^") else _entire(found[0])
    if found is None or entire is None:
        return None
    made = template_of(_BRACES.sub(r"$\1", replacement), found[1])
    return None if made is None else (entire, made)


def _entire(pattern: str) -> str | None:
    """Return an expression that begins with ``^`` as one of whole texts; None if it leaves what stands behind it."""
    if has_alternatives(pattern):
        return None
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        return whole(pattern)
    return whole(f"{pattern}$") if pattern.endswith((".*)", ".+)", ".*", ".+")) else None


def redirects(pattern: str, replacement: str, hosts: Iterable[str]) -> list[Redirected] | None:
    """Return what ``redirectRegex`` redirects; None if it is not known, and nothing if it redirects none of the hosts.

    :param hosts: those that the router asks for; none if it asks for all.
    """
    known = [*hosts]
    found = python_regex(pattern)
    if found is None:
        return None
    head, tail = _split(found[0])
    if tail is not None and _TAIL.fullmatch(tail) is None:
        return _of_path(head, tail, replacement, found[1])
    text = _BRACES.sub(lambda each: f"\\g<{each[1]}>", replacement)
    text = re.sub(r"\$(\w+)", lambda each: f"\\g<{each[1]}>", text)
    try:
        made = list(_of_hosts(re.compile(found[0]), text, known))
    except (re.error, IndexError, ValueError):
        return None
    # Without hosts nothing says that it takes none of them.
    return made if made or known else None


def _split(pattern: str) -> tuple[str, str | None]:
    """Return what stands before the slash that begins the path, and the rest; all of it and None if there is none."""
    position = pattern.find("://")
    depth, in_class = 0, False
    start = position + 3 if position >= 0 else 0
    depth = pattern[:start].count("(") - pattern[:start].count(")")
    for index in range(start, len(pattern)):
        here = pattern[index]
        if pattern[index - 1 : index] == "\\" and index > start:
            continue
        in_class = here == "[" or (in_class and here != "]")
        if not in_class:
            depth += (here == "(") - (here == ")")
            if here == "/" and depth == 0:
                return pattern[:index], pattern[index:]
    return pattern, None


def _of_hosts(pattern: re.Pattern[str], text: str, hosts: list[str]) -> Iterator[Redirected]:
    """Yield the redirects of hosts whose paths stay as they are.

    :raises ValueError: one of them leads to another path.
    """
    if not pattern.pattern.endswith((".*)", ".+)", ".*)$", ".+)$")):
        raise ValueError("it does not take every path")
    for host in hosts or [_ANY_HOST]:
        for scheme in _SCHEMES:
            url = f"{scheme}://{host}/{_PROBE}"
            made = pattern.sub(text, url, count=1)
            if made == url:
                continue
            target = _URL.fullmatch(made)
            if target is None or target[3] != _PROBE or (not hosts and target[2] != _ANY_HOST):
                raise ValueError("it leads to another path")
            keys = {} if target[1] == scheme else {"scheme": target[1]}
            keys |= {} if target[2] == host else _host_keys(target[2])
            yield Redirected({"scheme": scheme} | ({"hosts": [host]} if hosts else {}), keys)


def _host_keys(text: str) -> dict[str, Any]:
    host, _, port = text.partition(":")
    return {"host": host} | ({"port": int(port)} if port else {})


def _of_path(head: str, tail: str, replacement: str, groups: dict[str, str]) -> list[Redirected] | None:
    """Return the redirect of some paths of every host to others of the same, or of another one."""
    begin = head.removeprefix("^")
    # A repetition before the path may take a part of it, so that only a path without one is known.
    ends = tail.endswith("$") or tail.replace("\\", "").startswith("/.well-known/")
    is_fixed = ends and _FIXED.fullmatch(tail) is not None
    if begin not in _ONE_HOST and not (begin in _ALL_BEFORE and is_fixed):
        return None
    text = _BRACES.sub(r"$\1", replacement)
    scheme = "https" if begin.startswith(("https://", "(?P<g1>https://")) else None
    keys: dict[str, Any] = {}
    place: str | None = None
    for prefix in ("$1",) if begin.startswith(("(?P<g1>http", "(?P<g1>.")) else ("https://$1", "http://$1"):
        if "(?P<g1>" in begin and text.startswith(prefix):
            place = text.removeprefix(prefix)
            keys = {} if prefix == "$1" or scheme == prefix[:-5] else {"scheme": prefix[:-5]}
    if place is None and (named := _URL.fullmatch(text)) is not None and "$" not in named[2]:
        keys, place = {"scheme": named[1]} | _host_keys(named[2]), f"/{named[3] or ''}"
    entire = _entire(f"^{tail}" if tail.endswith("$") or not is_fixed else f"^{tail}$")
    made = None if place is None else template_of(place, groups)
    if entire is None or made is None:
        return None
    asked = {"path_regex": entire} | ({} if scheme is None else {"scheme": scheme})
    return [Redirected(asked, keys | {"path": made})]
