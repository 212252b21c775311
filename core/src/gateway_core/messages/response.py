"""A response: an upstream's, a plugin's or the gateway's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from gateway_core.messages.body import BodyFilter
from gateway_core.messages.fields import checked_value
from gateway_core.messages.headers import Headers, block_of, headers_of_block

_REASONS = {status.value: status.phrase for status in HTTPStatus}

type_json = "application/json"

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_URI_CHARACTERS: Final = "%:/?#[]@!$&'()*+,;=-._~"
"""Characters of RFC 3986 section 2, escapes included."""


def reason_phrase(status: int) -> str:
    """Return the usual reason phrase of a status, or an empty one."""
    return _REASONS.get(status, "")


class _Observer(BodyFilter):
    """A filter that changes nothing, whatever the one within returns."""

    def __init__(self, observer: BodyFilter) -> None:
        self._observer = observer

    def feed(self, data: bytes) -> bytes:
        self._observer.feed(data)
        return data


class Response:
    """One response on its way to the client.

    ``body`` is the whole body of a response that a plugin or the gateway made. An upstream's body is streamed and never
    here: ``is_streamed`` says so, and `add_body_filter` changes it piece by piece.
    """

    # Defaults stand in the class: most responses pass by unchanged.
    body = b""
    is_streamed = False
    produced_by = ""
    """``upstream``, ``gateway``, or the id of the binding that responded."""
    failure: str | None = None
    """Code of why the gateway made this response (docs/reasons.md); None for an upstream's and a plugin's."""
    filters: Sequence[BodyFilter] = ()
    is_filtered = False
    """Whether one of the filters may change the body; others only observe it."""
    _headers: Headers | None = None
    _head_block = b""

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
        """Return an upstream's response, whose body passes by; the block is known to be valid."""
        response = cls.__new__(cls)
        response.status = status
        response.reason = reason
        response._head_block = block
        response.is_streamed = True
        response.produced_by = "upstream"
        return response

    @property
    def headers(self) -> Headers:
        """The head's fields."""
        headers = self._headers
        if headers is None:
            headers = self._headers = headers_of_block(self._head_block)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    @classmethod
    def text(
        cls, text: str, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Return a response whose body is a text in UTF-8; ``text/plain`` unless ``headers`` say otherwise."""
        response = cls(status, text.encode(), headers)
        response.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return response

    @classmethod
    def redirect(
        cls, location: str, status: int = 302, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Return a redirect (RFC 9110 section 15.4).

        :param location: a URI reference; characters that it must not have are percent-encoded.
        :param status: 301, 302, 303, 307 or 308.
        :raises ValueError: for another status.
        """
        if status not in _REDIRECTS:
            raise ValueError(f"{status} is not the status of a redirect: use 301, 302, 303, 307 or 308")
        response = cls(status, b"", headers)
        response.headers["Location"] = quote(location, safe=_URI_CHARACTERS)
        return response

    @classmethod
    def json(
        cls, data: Any, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Return a response whose body is ``data`` as JSON."""
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
        """Return a problem details response (RFC 9457) of type ``about:blank``.

        The pipeline adds the ``request_id`` member. ``detail`` is for the client: nothing of what is inside the
        gateway, and nothing of the request, belongs in it.
        """
        body: dict[str, Any] = {"type": "about:blank", "title": reason_phrase(status) or "Error", "status": status}
        if detail:
            body["detail"] = detail
        response = cls(status, json.dumps({**body, **members}).encode(), headers)
        response.headers["Content-Type"] = "application/problem+json"
        return response

    def copy_head(self) -> Response:
        """Return a response with the same body whose head can be changed without changing this one."""
        copied = copy(self)
        copied._headers = self.headers.copy()
        return copied

    @property
    def is_problem(self) -> bool:
        """Whether this is a problem details response that was made here."""
        return not self.is_streamed and self.headers.get("content-type") == "application/problem+json"

    def add_body_filter(self, factory: Callable[[], BodyFilter], *, observe: bool = False) -> None:
        """Send the body through a filter; several apply in the order in which they were added.

        :param factory: makes the filter of this body.
        :param observe: the filter changes nothing: what its methods return is ignored.
        """
        body_filter = factory()
        self.filters = (*self.filters, _Observer(body_filter) if observe else body_filter)
        self.is_filtered = self.is_filtered or not observe

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def response_block(response: Response) -> bytes:
    """Return the header block as it is now, changed or not; for the core (see `Headers`)."""
    headers = response._headers
    return response._head_block if headers is None else block_of(headers)
