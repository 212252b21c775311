"""Responses that the gateway gives itself in place of a target: redirects and fixed responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from gateway_core.config.address import is_host, is_placeholder
from gateway_core.config.models.base import Section
from gateway_core.config.models.rewrite import RewriteQueryConfig
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import HeaderName, HeaderValue, InvalidValueError, refuse

BODILESS: Final = frozenset({204, 205, 304})
"""Statuses of responses without a body."""
_FRAMING: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "trailer", "upgrade"})


class RedirectConfig(Section):
    """Respond with a redirect; what is not given stays as in the request. It must not lead to the route itself."""

    status: Literal[301, 302, 303, 307, 308] = 308
    """Status of the response; 307 and 308 keep method and body."""

    scheme: Literal["http", "https"] | None = None
    """Scheme of the new location; the old port is then dropped. On a route without a ``scheme`` condition the redirect
    applies to requests of the other scheme only: the others go to the next route that matches."""

    host: str | None = None
    """Host of the new location, with a port if there is one."""

    port: Annotated[int, Strict(), Field(ge=1, le=65535)] | None = None
    """Port of the new location; the scheme's own is left out of it."""

    path: str | None = None
    """Path of the new location; ``:name`` and ``*name`` stand for the parameters of path and host."""

    prefix: str | None = None
    """Replaces the prefix that matched, or the literal part of ``path`` before its first parameter."""

    query: RewriteQueryConfig | None = None
    """Parameters of the query that are set and removed."""

    @model_validator(mode="after")
    def _check(self) -> RedirectConfig:
        problems = []
        if self.path is not None and self.prefix is not None:
            problems.append(Fault("path and prefix are given", "keep one of them"))
        for name, text in (("path", self.path), ("prefix", self.prefix)):
            if text is not None and (not text.startswith("/") or re.search(r"[\s\\\x00-\x1f\x7f]", text)):
                fault = f"the {name} does not begin with / or holds a space, a \\ or a control character"
                problems.append(Fault(fault, "write scheme and host beside it" if "://" in text else ""))
        if self.host is not None and not is_host(re.sub(r":\d{1,5}$", "", self.host).strip("[]")):
            remedy = "leave it out, which keeps the client's" if is_placeholder(self.host) else ""
            problems.append(Fault("the host is not a host name, with or without a port", remedy))
        elif self.host is not None and self.port is not None and re.search(r":\d+$", self.host):
            problems.append(Fault("host has a port, and port is given", "keep one of the two"))
        refuse(problems)
        return self


def _check_responded(value: str) -> str:
    if value.lower() in _FRAMING:
        raise InvalidValueError("cannot be set: the gateway frames the response itself", remedy="leave it out")
    return value


RespondedName = Annotated[HeaderName, AfterValidator(_check_responded)]


class RespondConfig(Section):
    """Respond with this, instead of sending the request upstream."""

    status: Annotated[int, Strict(), Field(ge=200, le=599)] = 200
    """Status of the response."""

    headers: Mapping[RespondedName, HeaderValue] = Field(default_factory=dict)
    """Fields of the response; ``content-type`` is ``text/plain; charset=utf-8`` unless it is given here."""

    body: str = ""
    """Body of the response; ``${file:page.html}`` takes it from a file."""

    @model_validator(mode="after")
    def _check(self) -> RespondConfig:
        names = [name.lower() for name in self.headers]
        problems = [
            Fault(f"headers has {name} twice, as names are compared without case", "keep one of them")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        if self.body and self.status in BODILESS:
            problems.append(Fault(f"a response with status {self.status} has no body", "leave out body"))
        refuse(problems)
        return self
