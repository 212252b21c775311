"""Errors that more than one layer speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Literal, TypedDict

ESCAPES: Final = (SystemExit, KeyboardInterrupt, GeneratorExit)
"""What ends a program or a generator; raised by a plugin it is a failure like any other."""


class GatewayError(Exception):
    """Base of the errors that the gateway raises on purpose."""


BodySide = Literal["request", "response"]


class BodyTooLargeError(GatewayError):
    """A body is over the limit of its reader.

    Uncaught, it is 413 for a request's, and a failure of the binding with 502 for a response's.
    """

    def __init__(
        self, message: str = "the body is too large", source: Literal["request", "response"] = "request"
    ) -> None:
        super().__init__(message)
        self.source: Final = source

    @property
    def status(self) -> int:
        """The status to respond with."""
        return 413 if self.source == "request" else 502


class BadBodyError(GatewayError):
    """A request's body is not what its fields say: broken compression, text that is no JSON.

    Raised by a filter or uncaught in a hook, it is 400 (or another status of the client's) whatever ``on_error`` says,
    and no reason for quarantine: a client sent it.
    """

    def __init__(self, message: str, status: Literal[400, 413, 415, 422] = 400) -> None:
        """Describe what is wrong.

        :param message: for logs, never for clients.
        """
        super().__init__(message)
        self.status: Final = status


class ClientGoneError(GatewayError):
    """The client left before its request was complete."""


class ShadowModeError(GatewayError):
    """A hook in shadow mode asked for what cannot be tried out, such as `Request.forward`; it ends there."""


class UpstreamError(GatewayError):
    """An upstream did not give a usable response.

    Uncaught in a hook it follows the binding's ``on_error`` with its own status, and does not count for quarantine.
    """

    def __init__(self, message: str, *, status: int = 502, reason: str, retry_after: float | None = None) -> None:
        """Describe what happened.

        :param message: for logs, never for clients.
        :param status: 502, 503 or 504.
        :param reason: a code of :mod:`gateway_core.reasons`.
        :param retry_after: seconds after which the client may ask again (``Retry-After``), if that is known.
        """
        super().__init__(message)
        self.status: Final = status
        self.reason: Final = reason
        self.retry_after: Final = retry_after


class BadPathError(GatewayError, ValueError):
    """A path that no request may have; the client gets 400, and only logs name the reason."""

    status: Final = 400


TextSource = Literal["path", "query", "field", "response"]
"""What a text is part of."""

_STATUSES: Final[dict[TextSource, int]] = {"path": 414, "query": 400, "field": 431, "response": 502}


class TextTooLongError(GatewayError):
    """A text of a request is too long for a pattern that no linear-time engine runs; the client is to be refused.

    ``source`` is what the text is part of: ``path`` (414), ``query`` (400), ``field`` of the request (431) or the
    upstream's ``response`` (502).
    """

    def __init__(self, source: TextSource, limit: int, pattern: str) -> None:
        self.source: Final = source
        self.limit: Final = limit
        self.pattern: Final = pattern
        super().__init__(
            f"text of the {source} is longer than the {limit} characters that {pattern!r} can be matched with"
        )

    @property
    def status(self) -> int:
        """The status to refuse the request with."""
        return _STATUSES[self.source]


class ProcessEndedError(GatewayError):
    """A process ended in the middle of something, which says nothing of what was asked of it."""


def is_clients_doing(error: BaseException) -> bool:
    """Return whether an error refuses what a client sent, so that no plugin that raises it is to blame."""
    refuses = isinstance(error, BadBodyError | BadPathError | TextTooLongError)
    return refuses or (isinstance(error, BodyTooLargeError) and error.source == "request")


class ProblemMembers(TypedDict, total=False):
    """Members that only some problems of the admin API have (RFC 9457 section 3.2)."""

    place: str
    """Where the object is written that the API does not own."""
    revision: int
    """Revision of the object, where a precondition does not hold."""
    upstreams: list[str]
    """Which it may be, where a name is not enough."""


class RefusedError(Exception):
    """What the admin API was asked for and does not do; becomes a problem (RFC 9457)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        problems: Sequence[Mapping[str, Any]] = (),
        report: str = "",
        more: ProblemMembers | None = None,
    ) -> None:
        """Say why.

        :param code: a stable name of the reason.
        :param problems: of a configuration, as ``gateway check --json`` prints them.
        :param report: the same as text, with excerpts and carets.
        :param more: further members of the problem.
        """
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.content = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            **({"problems": list(problems), "report": report} if problems else {}),
            **(more or {}),
        }
