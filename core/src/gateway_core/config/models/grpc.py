"""Routes for calls of gRPC: a path and a Content-Type in the words of a service's definition.

A call is a POST to ``/SERVICE/METHOD`` whose Content-Type begins with ``application/grpc``, in gRPC and in gRPC-Web
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway_core.config.models.base import Section
from gateway_core.config.values import InvalidValueError

GRPC_METHOD: Final = "POST"
"""The method of every call."""

GRPC_CONTENT_TYPE: Final = r"(?i)application/grpc([-+; ].*)?"
"""What the Content-Type of every call matches, that of gRPC-Web included."""

_IDENTIFIER: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_SERVICE: Final = re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*")
_METHOD: Final = re.compile(_IDENTIFIER)


def _check_service(value: str) -> str:
    if not _SERVICE.fullmatch(value):
        raise InvalidValueError(
            "is not the name of a service", remedy="write its package and its name, such as users.v1.Users"
        )
    return value


def _check_method(value: str) -> str:
    if not _METHOD.fullmatch(value):
        raise InvalidValueError("is not the name of a method", remedy="write only its name, such as Get")
    return value


ServiceName = Annotated[str, AfterValidator(_check_service)]
"""The whole name of a service, with its package."""


class GrpcConfig(Section):
    """Which calls of gRPC match; ``{}`` matches all."""

    service: ServiceName | None = None
    """Whole name of the service, such as ``users.v1.Users``; every service unless given."""

    method: Annotated[str, AfterValidator(_check_method)] | None = None
    """Name of the method, such as ``Get``; every method unless given."""

    @property
    def path(self) -> str:
        """The pattern of the path of the calls, whose parameters are called ``service`` and ``method``."""
        return f"/{self.service or ':service'}/{self.method or ':method'}"
