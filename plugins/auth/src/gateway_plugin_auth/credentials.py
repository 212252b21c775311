"""Find credentials in a request, and take them out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote_plus

from gateway_plugin_sdk import Request

from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal

Place = Literal["header", "cookie", "query"]

DPOP: Final = "DPoP"
"""The scheme of tokens that come with a proof of their key (RFC 9449 section 7.1)."""

_MOST_PARAMETERS: Final = 1000


class AmbiguousError(ValueError):
    """Credentials are there more than once, so an upstream might read others than those that were verified."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place where credentials may be."""

    place: Place
    name: str
    scheme: str = ""
    """Authentication scheme before the credentials, such as ``Bearer``; only in a header."""

    _before: str = field(init=False, repr=False, compare=False)
    """What stands before the credentials, as most clients write it."""
    is_authorization: bool = field(init=False, repr=False, compare=False)
    """Whether it is the Authorization field with a scheme."""

    is_dpop: bool = field(init=False, repr=False, compare=False)
    """Whether the scheme is that of bound tokens."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_dpop", self.scheme.lower() == DPOP.lower())
        object.__setattr__(self, "_before", f"{self.scheme} ")
        is_authorization = self.place == "header" and self.name.lower() == "authorization" and bool(self.scheme)
        object.__setattr__(self, "is_authorization", is_authorization)

    def find(self, request: Request) -> str | None:
        """Return the credentials, or None if there are none of this kind here.

        What is empty is not there: logging out leaves empty cookies, and proxies empty fields.

        :raises AmbiguousError: there are several.
        """
        if self.is_authorization:
            # Of nearly every request that has credentials, at the least cost.
            usual, before = request.authorization, self._before
            if usual is not None and usual.startswith(before):
                return usual[len(before) :].lstrip(" ") or None
        if self.place == "header":
            fields = request.headers.get_all(self.name)
            # Also if one of several is empty: servers join repeated fields, or take the first or the last.
            if len(fields) > 1:
                raise AmbiguousError(f"header {self.name!r} is repeated")
            value = fields[0] if fields else None
            return (_after_scheme(value, self.scheme) or None) if value and self.scheme else value or None
        query = self.place == "query"
        values = _parameters(request.query_string, self.name) if query else _cookies(request, self.name)
        values = [value for value in values if value]
        if len(values) > 1:
            raise AmbiguousError(f"{self.place} {self.name!r} is repeated")
        return values[0] if values else None

    def hide(self, request: Request) -> None:
        """Take the credentials out of what goes upstream; what else is at this place stays."""
        if self.place == "query":
            request.query_string = _without_parameter(request.query_string, self.name)
        elif self.place == "cookie":
            _hide_cookie(request, self.name)
        elif not self.scheme:
            request.headers.remove(self.name)
        else:
            values = request.headers.get_all(self.name)
            kept = [value for value in values if _after_scheme(value, self.scheme) is None]
            if len(kept) < len(values):
                request.headers.remove(self.name)
                request.headers.extend([(self.name, value) for value in kept])


def _after_scheme(value: str, scheme: str) -> str | None:
    # RFC 9110 section 11.1: the scheme's case does not matter, and one space or more follows it.
    length = len(scheme)
    if value[:length].lower() != scheme.lower():
        return None
    rest = value[length:]
    if rest and rest[0] != " ":
        return None
    return rest.strip(" ")


def _cookie_pairs(line: str) -> list[str]:
    return [pair for pair in line.split(";") if pair.strip()]


def _cookies(request: Request, name: str) -> list[str]:
    found = []
    for line in request.headers.get_all("cookie"):
        for pair in line.split(";"):
            key, equals, value = pair.partition("=")
            if equals and key.strip() == name:
                found.append(value.strip().strip('"'))
    return found


def _hide_cookie(request: Request, name: str) -> None:
    lines = request.headers.get_all("cookie")
    kept = [[pair for pair in _cookie_pairs(line) if pair.partition("=")[0].strip() != name] for line in lines]
    if [len(pairs) for pairs in kept] == [len(_cookie_pairs(line)) for line in lines]:
        return
    request.headers.remove("cookie")
    request.headers.extend([("Cookie", ";".join(pairs).strip()) for pairs in kept if pairs])


def _name_of(parameter: str) -> str:
    return unquote_plus(parameter.partition("=")[0])


def _parameters(query: str, name: str) -> list[str]:
    if not query:
        return []
    parameters = query.split("&")
    if len(parameters) > _MOST_PARAMETERS:
        raise AmbiguousError(f"the query has more than {_MOST_PARAMETERS} parameters")
    return [unquote_plus(parameter.partition("=")[2]) for parameter in parameters if _name_of(parameter) == name]


def _without_parameter(query: str, name: str) -> str:
    if not query:
        return query
    return "&".join(parameter for parameter in query.split("&") if _name_of(parameter) != name)


def find_first(sources: Sequence[Source], request: Request) -> tuple[Source, str] | Refusal:
    """Return the first place that has credentials, with them; a refusal if none has, or one has several."""
    try:
        for source in sources:
            value = source.find(request)
            if value is not None:
                return source, value
    except AmbiguousError:
        return Refusal("ambiguous", "invalid_request")
    return NO_CREDENTIALS
