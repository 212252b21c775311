"""Where a redirecting route sends the client, safely: no path becomes another host, no malformed Host is repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway_core.routing.patterns import Pattern
from gateway_core.routing.problems import RewriteError
from gateway_core.routing.rewrite import PathRewrite, RewriteOptions, UnsafePathError, compile_rewrite

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4, those that have a Location."""

_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class RedirectOptions:
    """What a redirect changes; what is ``None`` or empty stays as the client sent it. ``host`` may have a port."""

    status: int = 302
    scheme: str | None = None
    host: str | None = None
    path: RewriteOptions = field(default_factory=RewriteOptions)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A compiled redirect."""

    status: int
    scheme: str | None
    host: str | None
    rewrite: PathRewrite | None

    def location(self, scheme: str, host: str, path: str, query: str, params: Mapping[str, str]) -> str:
        """Return the value of Location.

        With neither a scheme nor a host of its own it is relative (RFC 9110 section 10.2.2). The path starts with
        exactly one ``/`` either way: ``//evil.example`` would name a host. A changed scheme drops the request's port,
        the other one's.

        :param host: the Host value as received.
        :param path: as it goes upstream (`PathPolicy.sent`).
        :raises UnsafePathError: the Host is malformed but would have to be repeated, or the rewrite gave a bad path.
        """
        if self.rewrite is not None:
            path = self.rewrite.apply(path, params)
        target = "/" + path.lstrip("/") + (f"?{query}" if query else "")
        if self.scheme is None and self.host is None:
            return target
        authority = self.host
        if authority is None:
            authority = _authority(host, keep_port=self.scheme == scheme)
        return f"{self.scheme or scheme}://{authority}{target}"


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
    rewrite = compile_rewrite(pattern, options.path)
    if rewrite is None and options.scheme is None and options.host is None:
        raise RewriteError("redirect changes nothing, so it leads to itself", remedy="give a scheme, a host or a path")
    return Redirect(options.status, options.scheme, options.host, rewrite)


def _authority(host: str, *, keep_port: bool) -> str:
    found = _AUTHORITY.fullmatch(host)
    if found is None:
        raise UnsafePathError(f"the host {host[:80]!r} is malformed and cannot be redirected to")
    return host if keep_port else found[1]
