"""Our cookies in a request, and the fields that set them (RFC 6265bis).

A session that is too long for one cookie is cut: the first cookie begins with the number of parts, the others have the
name of the first with a number behind it. Each login attempt has a cookie of its own, so that several tabs may log in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from gateway_plugin_sdk import Request

LONGEST_COOKIE: Final = 4096
"""Bytes of name, value and attributes that browsers take at least (RFC 6265bis section 5.6)."""
_ATTRIBUTES: Final = 296
MOST_PARTS: Final = 12
"""With five login attempts beside it, a session still fits into the head of a request (``max_head_bytes``)."""
_MOST_COMBINATIONS: Final = 16
_ATTEMPT: Final = ".s"
_OWS: Final = " \t"
"""What may stand around a name. Other white space is part of it: for a browser, a name with NBSP before ``__Host-`` has
no such prefix, and a sibling domain may set it."""


@dataclass(frozen=True, slots=True)
class OwnCookies:
    """What a request's Cookie fields have of ours, and of others."""

    values: Mapping[str, tuple[str, ...]]
    """Ours by name, each with every value that came under it."""
    rest: str
    """The others, as a Cookie field; empty if there are none."""

    def sessions(self, base: str) -> Iterator[str]:
        """Yield every text that the session's cookies may stand for: several if a name came more than once.

        Nothing if these are too many to look at: one of those that are left out might be valid too.
        """
        combinations = 0
        found: list[tuple[str, list[tuple[str, ...]]]] = []
        for first in self.values.get(base, ()):
            count, dot, text = first.partition(".")
            if not dot or not count.isascii() or not count.isdigit() or not 1 <= int(count) <= MOST_PARTS:
                continue
            parts = [self.values.get(f"{base}.{number}", ()) for number in range(1, int(count))]
            combinations += math.prod(map(len, parts))
            found.append((text, parts))
        if combinations <= _MOST_COMBINATIONS:
            for text, parts in found:
                for combination in product(*parts):
                    yield "".join((text, *combination))

    def session_names(self, base: str) -> list[str]:
        """Return the names of those that may be parts of a session."""
        return [name for name in self.values if not name.startswith(base + _ATTEMPT)]

    def attempts(self, base: str) -> Mapping[str, tuple[str, ...]]:
        """Return the cookies of login attempts, by name."""
        return {name: values for name, values in self.values.items() if name.startswith(base + _ATTEMPT)}


def read_cookies(fields: str, base: str) -> OwnCookies:
    """Part the cookies of a request into ours and others.

    :param fields: the values of its Cookie fields, joined with ``;``.
    :param base: the name of the session's cookie.
    """
    own: dict[str, list[str]] = {}
    others = []
    dotted = base + "."
    for pair in fields.split(";"):
        name, _, value = pair.partition("=")
        name = name.strip(_OWS)
        if name == base or name.startswith(dotted):
            own.setdefault(name, []).append(value.strip(_OWS).strip('"'))
        elif text := pair.strip(_OWS):
            others.append(text)
    return OwnCookies({name: tuple(values) for name, values in own.items()}, "; ".join(others))


def cookie_field(request: Request) -> str:
    """Return a request's Cookie field; several are joined, as HTTP/2 may part them."""
    values = request.headers.get_all("cookie")
    return values[0] if len(values) == 1 else "; ".join(values)


def attempt_name(base: str, attempt_id: str) -> str:
    """Return the name of the cookie of a login attempt."""
    return f"{base}{_ATTEMPT}{attempt_id}"


class CookieWriter:
    """Writes Set-Cookie fields with the flags of one binding."""

    def __init__(self, name: str, *, secure: bool, domain: str | None, same_site: str) -> None:
        """Choose name and flags.

        :param secure: whether the application is reached over https only: then the name gets the prefix ``__Host-``, or
            ``__Secure-`` with a domain, under which browsers take no cookie from elsewhere (RFC 6265bis section 4.1.3).
        """
        prefix = "" if not secure else "__Secure-" if domain else "__Host-"
        self.base: Final = prefix + name
        flags = "; Path=/; HttpOnly" + ("; Secure" if secure else "") + (f"; Domain={domain}" if domain else "")
        self._flags = f"{flags}; SameSite={same_site.capitalize()}"
        # Comes back with a navigation from the provider's site, which Strict would not allow.
        self._attempt_flags = f"{flags}; SameSite={'None' if same_site == 'none' and secure else 'Lax'}"
        self._room = LONGEST_COOKIE - _ATTRIBUTES - len(self.base) - len(domain or "")

    @property
    def most_characters(self) -> int:
        """Characters that a session may have."""
        return self._room * MOST_PARTS

    def session(self, text: str, max_age: float, before: OwnCookies) -> list[str]:
        """Return the fields that set a session, and remove what parts a longer one before it has left.

        :param text: its sealed text, of `most_characters` at most.
        """
        parts = [text[start : start + self._room] for start in range(0, len(text), self._room)]
        flags = f"; Max-Age={max(1, int(max_age))}{self._flags}"
        fields = [f"{self.base}={len(parts)}.{parts[0]}{flags}"]
        fields += [f"{self.base}.{number}={part}{flags}" for number, part in enumerate(parts) if number]
        names = {self.base, *(f"{self.base}.{number}" for number in range(1, len(parts)))}
        stale = [name for name in before.values if name not in names and not name.startswith(self.base + _ATTEMPT)]
        return [*fields, *self.removed(stale)]

    def attempt(self, attempt_id: str, text: str, max_age: float) -> str:
        """Return the field that sets the cookie of a login attempt."""
        return f"{attempt_name(self.base, attempt_id)}={text}; Max-Age={int(max_age)}{self._attempt_flags}"

    def removed(self, names: Iterable[str]) -> list[str]:
        """Return the fields that remove cookies of ours; names that no cookie may have are left out."""
        return [f"{name}=; Max-Age=0{self._flags}" for name in names if _is_token(name)]


def _is_token(name: str) -> bool:
    return name.isascii() and name.isprintable() and not set(name) & set(' "(),/:;<=>?@[\\]{}')
