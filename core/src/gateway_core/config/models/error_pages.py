"""Pages in the place of error responses."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from gateway_core.config.models.base import Section
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import (
    NOT_EMPTY,
    HeaderValue,
    InvalidValueError,
    is_canonical,
    refuse,
)

_RANGE: Final = re.compile(r"([45][0-9]{2})(?:\s*-\s*([45][0-9]{2}))?")
_STATUSES_REMEDY: Final = "write a status from 400 to 599, or a range such as 500-599"


def _read_range(value: Any, info: ValidationInfo) -> tuple[int, int]:
    if is_canonical(info) and isinstance(value, (list, tuple)):
        return value[0], value[1]
    found = None if isinstance(value, bool) else _RANGE.fullmatch(str(value))
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if low > high:
        raise InvalidValueError("is not a range of statuses", remedy=_STATUSES_REMEDY)
    return low, high


StatusRange = Annotated[
    tuple[int, int],
    BeforeValidator(_read_range),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 400, "maximum": 599},
                {"type": "string", "pattern": f"^{_RANGE.pattern}$"},
            ],
            "x-expected": "a status or a range of statuses",
            "x-remedy": _STATUSES_REMEDY,
        }
    ),
]
"""The first and the last status."""


def _check_path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[^!-~]|[#\\]", value):
        raise InvalidValueError("is not a path", remedy="begin with / and leave out spaces, # and \\")
    others = [name for name in re.findall(r":([A-Za-z_][A-Za-z0-9_-]*)", value) if name != "status"]
    if others:
        raise InvalidValueError(f"has the parameter :{others[0]}", remedy="there is only :status here")
    return value


class ErrorPageConfig(Section):
    """What is sent in the place of responses with some statuses: a text, or what another request gets. The first entry
    that fits counts, a route's own before the gateway-wide ones.

    Responses of ``respond`` and ``redirect`` and to calls of gRPC are left as they are. WWW-Authenticate, Allow and
    Retry-After stay. An entry with neither ``body`` nor ``path`` keeps the plain response and its status.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    statuses: Annotated[tuple[StatusRange, ...], NOT_EMPTY]
    """Statuses and ranges of them, such as ``[404, 500-599]``."""

    from_: Annotated[tuple[Literal["gateway", "plugin", "upstream"], ...], NOT_EMPTY] = Field(
        default=("gateway", "plugin"), alias="from"
    )
    """Whose responses: ``gateway``, ``plugin`` and ``upstream``."""

    status: Annotated[int, Strict(), Field(ge=200, le=599)] | None = None
    """Status instead of the response's."""

    content_type: HeaderValue = "text/html; charset=utf-8"
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
        if self.body is None and "content_type" in self.model_fields_set:
            problems.append(Fault("content_type is that of body, and there is none", "give body, or leave it out"))
        if self.body is None and self.path is None and self.status is not None:
            problems.append(Fault("status has no page", "give body or path: without them the response stays as it is"))
        refuse(problems)
        return self
