"""Where a redirecting route sends the client, safely: no path becomes another host, no malformed Host is repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway_core.routing.patterns import Pattern
from gateway_core.routing.problems import RewriteError
from gateway_core.routing.query_rewrite import QueryRewrite
from gateway_core.routing.rewrite import PathRewrite, RewriteOptions, UnsafePathError, compile_rewrite

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4, those that have a Location."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class RedirectOptions:
    """What a redirect changes; what is ``None`` or empty stays as the client sent it. ``host`` may have a port."""

    status: int = 302
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: RewriteOptions = field(default_factory=RewriteOptions)
    query: QueryRewrite | None = None
    host_params: tuple[str, ...] = ()
    """What every host of the route captures, which the path may use."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A compiled redirect."""

    status: int
    scheme: str | None
    host: str | None
    rewrite: PathRewrite | None
    port: int | None = None
    query: QueryRewrite | None = None

    def location(self, scheme: str, host: str, path: str, query: str, params: Mapping[str, str]) -> str:
        """Return the value of Location.

        With neither a scheme, a host nor a port of its own it is relative (RFC 9110 section 10.2.2). The path starts
        with exactly one ``/`` either way: ``//evil.example`` would name a host. A changed scheme drops the request's
        port, the other one's.

        :param host: the Host value as received.
        :param path: as it goes upstream (`PathPolicy.sent`).
        :raises UnsafePathError: the Host is malformed but would have to be repeated, or the rewrite gave a bad path.
        """
        if self.rewrite is not None:
            path = self.rewrite.apply(path, params)
        if self.query is not None:
            query = self.query.apply(query, params)
        target = "/" + path.lstrip("/") + (f"?{query}" if query else "")
        if self.scheme is None and self.host is None and self.port is None:
            return target
        new_scheme = self.scheme or scheme
        authority = self.host
        if authority is None:
            authority = _authority(host, keep_port=new_scheme == scheme and self.port is None)
        if self.port is not None and self.port != _DEFAULT_PORTS.get(new_scheme):
            authority = f"{authority}:{self.port}"
        return f"{new_scheme}://{authority}{target}"


def compile_redirect(pattern: Pattern, options: RedirectOptions) -> Redirect:
    """Compile a route's redirect.

    :raises RewriteError: a status, scheme or host that no redirect has, or a redirect that leads where it came from.
    """
    if options.status not in REDIRECT_STATUSES:
        known = ", ".join(str(status) for status in sorted(REDIRECT_STATUSES))
        raise RewriteError(f"redirect status {options.status} is not one of {known}")
    if options.scheme not in {None, "http", "https"}:
        raise RewriteError(f"redirect scheme {options.scheme!r} is not one of 'http', 'https'")
    if options.host is not None and not _AUTHORITY.fullmatch(options.host):
        raise RewriteError(f"redirect host {options.host!r} is not a host name, with or without a port")
    if options.host is not None and options.port is not None and re.search(":[0-9]+$", options.host):
        raise RewriteError(
            f"redirect host {options.host!r} has a port, and a port is given", remedy="keep one of the two"
        )
    rewrite = compile_rewrite(pattern, options.path, options.host_params)
    if not any((rewrite, options.scheme, options.host, options.port, options.query)):
        raise RewriteError(
            "redirect changes nothing, so it leads to itself", remedy="give scheme, host, port, path, prefix or query"
        )
    return Redirect(options.status, options.scheme, options.host, rewrite, options.port, options.query)


def _authority(host: str, *, keep_port: bool) -> str:
    found = _AUTHORITY.fullmatch(host)
    if found is None:
        raise UnsafePathError(f"the host {host[:80]!r} is malformed and cannot be redirected to")
    return host if keep_port else found[1]
