"""An answer: an upstream's, a plugin's or the gateway's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from gateway_core.messages.headers import Headers, checked_value

_REASONS = {status.value: status.phrase for status in HTTPStatus}

type_json = "application/json"


def reason_phrase(status: int) -> str:
    """Return the usual reason phrase of a status, or an empty one."""
    return _REASONS.get(status, "")


class BodyTransform(Protocol):
    """Changes a body piece by piece, as it passes; an object of it serves one response."""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, return what goes on in its place; may be empty."""

    def finish(self) -> bytes:
        """Return what is still to go on after the last piece; may be empty."""


class _Watch:
    """A body transform that changes nothing."""

    __slots__ = ("_watch",)

    def __init__(self, watch: Callable[[bytes], None]) -> None:
        self._watch = watch

    def feed(self, data: bytes) -> bytes:
        self._watch(data)
        return data

    def finish(self) -> bytes:
        return b""


class Response:
    """One answer on its way to the client.

    ``body`` is the whole body of an answer that a plugin or the gateway made. An upstream's body is streamed and never
    here: ``is_streamed`` says so, and `transform_body` changes it piece by piece.
    """

    # Defaults stand in the class: most answers pass by unchanged.
    body = b""
    is_streamed = False
    produced_by = ""
    """``upstream``, ``gateway``, or the id of the binding that answered."""
    transforms: Sequence[BodyTransform] = ()
    is_transformed = False
    """Whether one of the transforms may change the body; others only watch it."""
    _headers: Headers | None = None
    head_block = b""
    """The header block of an upstream's answer as it came."""

    def __init__(
        self,
        status: int = 200,
        body: bytes | str = b"",
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        reason: str | None = None,
    ) -> None:
        if not 100 <= status <= 999:
            raise ValueError(f"{status} is not a status: use 100 to 999")
        self.status = status
        self.reason = reason_phrase(status) if reason is None else checked_value(reason).decode("latin-1")
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body.encode() if isinstance(body, str) else body

    @classmethod
    def streamed(cls, status: int, reason: str, block: bytes) -> Response:
        """Return an upstream's answer, whose body passes by; the block is known to be valid."""
        response = cls.__new__(cls)
        response.status = status
        response.reason = reason
        response.head_block = block
        response.is_streamed = True
        response.produced_by = "upstream"
        return response

    @property
    def headers(self) -> Headers:
        """The head's fields."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(block=self.head_block)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    @property
    def block(self) -> bytes:
        """The header block as it is now, changed or not (see `Headers`)."""
        headers = self._headers
        return self.head_block if headers is None else headers.block

    @classmethod
    def json(
        cls, data: Any, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Return an answer whose body is ``data`` as JSON."""
        response = cls(status, json.dumps(data, separators=(",", ":")).encode(), headers)
        response.headers.setdefault("Content-Type", type_json)
        return response

    @classmethod
    def problem(
        cls,
        status: int,
        detail: str = "",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        **members: Any,
    ) -> Response:
        """Return a problem details answer (RFC 9457) of type ``about:blank``.

        The pipeline adds the ``request_id`` member. ``detail`` is for the client: nothing of what is inside the
        gateway, and nothing of the request, belongs in it.
        """
        body: dict[str, Any] = {"type": "about:blank", "title": reason_phrase(status) or "Error", "status": status}
        if detail:
            body["detail"] = detail
        response = cls(status, json.dumps({**body, **members}).encode(), headers)
        response.headers["Content-Type"] = "application/problem+json"
        return response

    @property
    def is_problem(self) -> bool:
        """Whether this is a problem details answer that was made here."""
        return not self.is_streamed and self.headers.get("content-type") == "application/problem+json"

    def transform_body(self, transform: BodyTransform) -> None:
        """Send the body through ``transform``; several are applied in the order in which they were added."""
        self.transforms = (*self.transforms, transform)
        self.is_transformed = True

    def watch_body(self, watch: Callable[[bytes], None]) -> None:
        """Have ``watch`` called with each piece of the body as it goes out, after the transforms added so far.

        The body is neither changed nor held up. ``watch`` must not raise.
        """
        self.transforms = (*self.transforms, _Watch(watch))

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"
