"""Pages in the place of error responses."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from gateway_core.config.models.base import Section
from gateway_core.config.models.own_response import BODILESS
from gateway_core.config.statuses import StatusRange
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import (
    NOT_EMPTY,
    HeaderValue,
    InvalidValueError,
    refuse,
)

_STATUSES_REMEDY: Final = "write a status from 400 to 599, or a range such as 500-599"


def _check_range(statuses: StatusRange) -> StatusRange:
    if not 400 <= statuses.first <= statuses.last <= 599:
        raise InvalidValueError("has statuses of no error", remedy=_STATUSES_REMEDY)
    return statuses


ErrorStatuses = Annotated[StatusRange, AfterValidator(_check_range)]


def _check_path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[^!-~]|[#\\]", value):
        raise InvalidValueError("is not a path", remedy="begin with / and leave out spaces, # and \\")
    others = [name for name in re.findall(r":([A-Za-z_][A-Za-z0-9_-]*)", value) if name != "status"]
    if others:
        raise InvalidValueError(f"has the parameter :{others[0]}", remedy="there is only :status here")
    return value


_HTML: Final = "text/html; charset=utf-8"


class ErrorPageConfig(Section):
    """What is sent in the place of responses with some statuses: a text, or what another request gets. The first entry
    that fits counts, a route's own before the gateway-wide ones.

    Responses of ``respond`` and ``redirect`` and to calls of gRPC are left as they are. WWW-Authenticate, Allow and
    Retry-After stay. An entry with neither ``body`` nor ``path`` keeps the plain response and its status.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    statuses: Annotated[tuple[ErrorStatuses, ...], NOT_EMPTY]
    """Statuses and ranges of them, such as ``[404, 500-599]``."""

    from_: Annotated[tuple[Literal["gateway", "plugin", "upstream"], ...], NOT_EMPTY] = Field(
        default=("gateway", "plugin"), alias="from"
    )
    """Whose responses: ``gateway``, ``plugin`` and ``upstream``."""

    status: Annotated[int, Strict(), Field(ge=200, le=599)] | None = None
    """Status instead of the response's."""

    content_type: HeaderValue = _HTML
    """Content-Type of ``body``."""

    body: str | None = None
    """The page; ``${file:page.html}`` takes it from a file."""

    target: str | None = None
    """Name of an upstream, or a URL, to which the request for the page is sent; by default the route's target."""

    path: Annotated[str, AfterValidator(_check_path)] | None = None
    """Path of the page, with a query if it needs one; ``:status`` stands for the response's status. It is requested by
    GET (HEAD for HEAD), with the client's fields but conditions, ranges and what describes a body. A page with a status
    other than 2xx fails: then the plain response is sent, as for requests that are refused at their head."""

    @model_validator(mode="after")
    def _check(self) -> ErrorPageConfig:
        problems = []
        remote = [name for name in ("target", "path") if getattr(self, name) is not None]
        if self.body is not None and remote:
            problems.append(Fault(f"body and {' and '.join(remote)} exclude each other", "keep one of them"))
        elif self.target is not None and self.path is None:
            problems.append(Fault("target has no path", "give the path of the page, such as /errors/:status"))
        # Not what is set: what processes hand on to each other has every key.
        if self.body is None and self.content_type != _HTML:
            problems.append(Fault("content_type is that of body, and there is none", "give body, or leave it out"))
        if self.body is None and self.path is None and self.status is not None:
            problems.append(Fault("status has no page", "give body or path: without them the response stays as it is"))
        if self.status in BODILESS:
            problems.append(Fault(f"a response with status {self.status} has no body", "give another status"))
        refuse(problems)
        return self
