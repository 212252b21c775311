"""How long a response of several parts may be stored: never longer, and by no more caches, than any of its parts.

Each part's Cache-Control (RFC 9111 section 5.2), Expires and Age come to what is left of its lifetime. The least of all
counts, and a restriction of any. Targeted fields (CDN-Cache-Control, RFC 9213) can only restrict further here, as the
response has none. Where one part says nothing of its lifetime and another one does, a cache has to ask each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway_plugin_sdk import Headers
from gateway_plugin_sdk.conditions import parse_date

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_LONGEST: Final = 4096
"""Characters of a field that are read; a longer one counts as ``no-store``."""
_TARGETED: Final = ("cdn-cache-control", "surrogate-control")
_FLAGS: Final = ("no-transform", "must-revalidate", "proxy-revalidate")


@dataclass(frozen=True, slots=True)
class Cacheability:
    """What the fields of one response allow."""

    directives: frozenset[str]
    """Those without a number, by name: ``no-store``, ``private``, ``no-cache`` ..."""
    for_one: int | None
    """Seconds for which a cache of one user may still use it; None if no field limits it."""
    for_all: int | None
    """The same for a shared cache."""
    vary: frozenset[str]
    """Names of fields in lower case, or ``*``."""


def read_cacheability(headers: Headers, now: float, *, has_authorization: bool) -> Cacheability:
    """Return what the fields of a response allow.

    :param now: seconds since the epoch.
    :param has_authorization: whether the request had Authorization: shared caches then need a permission (section 3.5).
    """
    directives = _directives(headers.joined("cache-control"))
    flags = {name for name in directives if name not in {"max-age", "s-maxage"}}
    if not directives and "no-cache" in (headers.joined("pragma") or "").lower():
        flags.add("no-cache")
    for_one = _seconds(directives, "max-age")
    if for_one is None and headers.get("expires") is not None:
        for_one = _until(headers, now)
    for_all = _seconds(directives, "s-maxage")
    if has_authorization and for_all is None and not flags & {"public", "must-revalidate"}:
        flags.add("private")
    if for_all is None:
        for_all = for_one
    for name in _TARGETED:
        targeted = _directives(headers.joined(name))
        flags |= targeted.keys() & {"no-store", "private", "no-cache", "must-revalidate"}
        for_all = _least(for_all, _least(_seconds(targeted, "max-age"), _seconds(targeted, "s-maxage")))
    age = _number(headers.get("age") or "0")
    vary = frozenset(name for each in (headers.joined("vary") or "").lower().split(",") if (name := each.strip(" \t")))
    return Cacheability(frozenset(flags), _less(for_one, age), _less(for_all, age), vary)


def _least(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else min(first, second)


def _less(lifetime: int | None, age: int) -> int | None:
    return None if lifetime is None else max(0, lifetime - age)


def _until(headers: Headers, now: float) -> int:
    expires = parse_date(headers.get("expires", ""))
    date = parse_date(headers.get("date", ""))
    if expires is None or headers.count("expires") > 1:
        return 0
    return max(0, expires - (int(now) if date is None else date))


def _directives(text: str | None) -> dict[str, list[str]]:
    """Return the directives of a field, each with its values; what cannot be read is ``no-store``."""
    if text is None:
        return {}
    pieces = text.split('"')
    if len(text) > _LONGEST or len(pieces) % 2 == 0 or "\\" in text:  # no directive needs an escape
        return {"no-store": []}
    # Every second piece is a quoted one, whose commas separate nothing.
    plain = "".join(piece.replace(",", ";") if index % 2 else piece for index, piece in enumerate(pieces))
    found: dict[str, list[str]] = {}
    for element in plain.split(","):
        name, _, value = element.strip(" \t").partition("=")
        if not name and not value:
            continue
        if _NAME.fullmatch(name.lower()) is None:
            return {"no-store": []}
        found.setdefault(name.lower(), []).append(value)
    return found


def _seconds(directives: dict[str, list[str]], name: str) -> int | None:
    """Return a number of seconds: 0 for what is none, or for several that differ."""
    values = directives.get(name)
    if values is None:
        return None
    numbers = {_number(value, 0) for value in values}
    return numbers.pop() if len(numbers) == 1 else 0


def _number(text: str, otherwise: int = 2**31) -> int:
    text = text.strip(" \t")
    return min(int(text), 2**31) if text.isascii() and text.isdigit() and len(text) < 20 else otherwise


def cache_control_of(parts: Sequence[Cacheability], restrictions: Iterable[str] = ()) -> str | None:
    """Return the Cache-Control of a response of these parts; None if no part says anything.

    :param restrictions: directives that hold besides, such as ``private``.
    """
    flags = frozenset(restrictions).union(*(part.directives for part in parts))
    if "no-store" in flags:
        return "private, no-store" if "private" in flags else "no-store"
    values: list[str] = []
    if "private" in flags:
        values.append("private")
    elif parts and all("public" in part.directives for part in parts):
        values.append("public")
    for_one, for_all = _shortest([part.for_one for part in parts]), _shortest([part.for_all for part in parts])
    say_nothing = all(part.for_one is None and part.for_all is None for part in parts)
    if "no-cache" in flags or (not say_nothing and for_one is None and (for_all is None or "private" in flags)):
        values.append("no-cache")
    else:
        if for_one is not None:
            values.append(f"max-age={for_one}")
        if for_all is not None and for_all != for_one and "private" not in flags:
            values.append(f"s-maxage={for_all}")
    values += [name for name in _FLAGS if name in flags]
    return ", ".join(values) or None


def _shortest(lifetimes: Sequence[int | None]) -> int | None:
    known = [each for each in lifetimes if each is not None]
    return min(known) if known and len(known) == len(lifetimes) else None
