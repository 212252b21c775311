"""One operation of the admin API: its path, who may call it, and the shapes of what it takes and returns.

The tables of `gateway_core.admin.resources` are made of these; requests are routed, checked and validated by them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from gateway_core.admin.access import Caller
from gateway_core.admin.replies import EventStream, Reply
from gateway_core.config import AdminRole

if TYPE_CHECKING:
    from gateway_core.admin.gate import Gate
    from gateway_core.admin.view import AdminView

API: Final = "/api/v1/"
"""What the path of every operation begins with."""

LARGEST_BODY: Final = 1024 * 1024
LARGEST_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of a body that is a configuration."""


class ApiModel(BaseModel):
    """A shape of the API: unknown members are refused, and the text under a field is its description."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


class NoQuery(ApiModel):
    """No query parameters."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request for an operation, checked and validated."""

    request: web.BaseRequest
    view: AdminView
    caller: Caller
    path: Mapping[str, str]
    """Values of the path's parameters."""
    query: Any
    """What `Operation.query` made of the query."""
    body: Any
    """What `Operation.body` made of the body; None without one."""
    gate: Gate
    """What let the caller in, for responses that take long."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """Below `API`; ``{name}`` is a segment, ``{name*}`` several."""
    role: AdminRole
    summary: str
    """What it does."""
    handle: Callable[[Call], Awaitable[Reply | EventStream]]
    result: Any = None
    """The type of what it returns with ``success``; None for a stream of events."""
    query: type[ApiModel] = NoQuery
    body: Any = None
    """The type of what it takes; None for nothing."""
    body_is_optional: bool = False
    success: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()
    """Statuses of problems beside those that every operation may have."""
    largest_body: int = LARGEST_BODY
    takes_if_match: bool = False
    """Whether If-Match and If-None-Match count."""
    reports_errors: bool = False
    """Whether what fails may also come in the shape of ``result``."""
    role_of: Callable[[AdminView, Mapping[str, str]], Awaitable[AdminRole]] | None = None
    """Returns the role that a path needs where that is more than `role`."""

    async def role_for(self, view: AdminView, path: Mapping[str, str]) -> AdminRole:
        """Return who may call it; what needs more than a viewer is written to the audit log.

        :param path: values of the path's parameters.
        """
        return self.role if self.role_of is None else await self.role_of(view, path)


class Routes:
    """Finds the operation of a request."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.operations = operations
        by_path: dict[str, tuple[re.Pattern[str], dict[str, Operation]]] = {}
        for operation in operations:
            _, methods = by_path.setdefault(operation.path, (_pattern(operation.path), {}))
            methods[operation.method] = operation
        # An action's name at the end is none of a parameter, which would take it: `plugins/{name}` and
        # `plugins/{binding*}:release`.
        self._patterns = sorted(by_path.values(), key=lambda each: each[0].pattern.endswith(")"))

    def find(self, raw_path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]] | None:
        """Return the operations of a path by method, and the values in the path; None if there is no such path.

        :param raw_path: as it was sent, without the query: an encoded slash separates nothing.
        """
        rest = raw_path.removeprefix(API)
        for pattern, methods in self._patterns:
            found = pattern.fullmatch(rest)
            if found is not None:
                return methods, {name: unquote(value) for name, value in found.groupdict().items()}
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(\*?)\}", path)
    text = re.escape(parts[0])
    for name, many, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>{'.+' if many else '[^/]+'}){re.escape(literal)}"
    return re.compile(text)
