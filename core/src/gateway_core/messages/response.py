"""A response: an upstream's, a plugin's or the gateway's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from gateway_core.messages.body import (
    BodyFilter,
    BodySource,
    FilteredBody,
    FilterSpec,
    TooLarge,
    read_whole,
    remove_body_fields,
)
from gateway_core.messages.body_sources import Body, BrokenBody, SourceIterator, source_of
from gateway_core.messages.field_search import value_in
from gateway_core.messages.fields import FieldBlock, FieldNames, checked_value
from gateway_core.messages.headers import Headers, frozen_headers, headers_of_block
from gateway_core.messages.hook_owner import HookOwner, is_counted, running_hook
from gateway_core.messages.operations import InProgress, ResponseOperations

_REASONS = {status.value: status.phrase for status in HTTPStatus}

type_json = "application/json"
_BODILESS: Final = frozenset({204, 304})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_URI_CHARACTERS: Final = "%:/?#[]@!$&'()*+,;=-._~"
"""Characters of RFC 3986 section 2, escapes included."""


def reason_phrase(status: int) -> str:
    """Return the usual reason phrase of a status, or an empty one."""
    return _REASONS.get(status, "")


class Response:
    """One response on its way to the client.

    ``body`` is the whole body of a response that a plugin or the gateway made. An upstream's body is streamed and never
    here: ``is_streamed`` says so, and `add_body_filter` changes it piece by piece.
    """

    # Defaults stand in the class: most responses pass by unchanged.
    _body: Body | None = b""  # None for an upstream's, until one is assigned
    is_streamed = False
    produced_by = ""
    """``upstream``, ``gateway``, or the id of the binding that responded."""
    from_upstream = False
    """Whether it stands for an upstream's: its own, or one that a cache has; plugins that store responses set it."""
    failure: str | None = None
    """Why the gateway made this response (docs/reasons.md); None for others, ``respond`` and ``redirect`` of routes."""
    in_progress: InProgress[ResponseOperations] | None = None
    """What passes the response on, while hooks may ask something of its body; for the data path."""
    _operations: ResponseOperations | None = None
    body_filters: tuple[FilterSpec, ...] = ()
    """What the body goes through, in order; for the data path."""
    is_filtered = False
    """Whether one of the filters may change the body; others only observe it."""
    body_owner: HookOwner | None = None
    """The hook that gave a file or an iterator as the body; for the data path."""
    replaced: tuple[AsyncIterator[bytes], ...] = ()
    """Iterators that another body took the place of, which may read from them; for the data path."""
    is_for_head = False  # whether the request's method is HEAD; for the data path
    came_length: int | None = None
    """Bytes of the upstream's body, if its head has the length; for the data path."""
    _headers: Headers | None = None
    _head_block = b""
    _more: tuple[bytes, ...] = ()  # blocks behind that one
    _lowered = b""  # the first block in lower case, or nothing if that is not known
    _added = b""  # by `add_fields`, while nothing has looked at the fields
    _came: bytes | None = None  # the block of an upstream's head, without what the gateway added for hooks to see
    _sent: Any = None  # a `SentHead`: how it went out the last time

    def __init__(
        self,
        status: int = 200,
        body: Body | str = b"",
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        reason: str | None = None,
    ) -> None:
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a response: use 200 to 999")
        self.status = status
        self.reason = reason_phrase(status) if reason is None else checked_value(reason).decode("latin-1")
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body.encode() if isinstance(body, str) else body

    @property
    def body(self) -> Body:
        """The whole body, a file, or an iterator of pieces; of an upstream's response it is empty: see `read`.

        What is assigned is sent in place of the upstream's body. An iterator is closed on every end, also if another
        body is assigned, once that has ended.
        """
        body = self._body
        return b"" if body is None else body

    @body.setter
    def body(self, body: Body) -> None:
        replaced, self._body = self._body, body
        if isinstance(replaced, AsyncIterator) and replaced is not body:
            self.replaced = (*self.replaced, replaced)
        self.body_owner = None if isinstance(body, bytes) else running_hook()

    @property
    def _has_assigned_body(self) -> bool:
        """Whether a body was assigned in place of an upstream's: that one is not sent any more, whatever follows."""
        return self.is_streamed and self._body is not None

    @property
    def _is_empty(self) -> bool:
        """Whether there could be a body, and is none."""
        if not self.has_body:
            return False
        is_upstreams = self.is_streamed and not self._has_assigned_body
        is_empty = self.came_length == 0 if is_upstreams else self._body == b""
        return is_empty or self.headers.get("Content-Length") == "0"

    @property
    def operations(self) -> ResponseOperations | None:
        """What serves `read` and the like for a body that is streamed; for the data path and test kits."""
        if self._operations is not None or self.in_progress is None:
            return self._operations
        return self.in_progress.operations

    @operations.setter
    def operations(self, operations: ResponseOperations | None) -> None:
        self.in_progress, self._operations = None, operations

    def replaces(self, other: Response) -> None:
        """Have what another response's body holds closed behind this one's; for the data path."""
        bodies = [each for each in (*other.replaced, other._body) if isinstance(each, AsyncIterator)]
        self.replaced = (*self.replaced, *[each for each in bodies if each is not self._body])

    @staticmethod
    def streamed(
        status: int,
        reason: str,
        block: bytes,
        more: tuple[bytes, ...] = (),
        lowered: bytes = b"",
        came: bytes | None = None,
    ) -> Response:
        """Return an upstream's response, whose body passes by; the block is known to be valid.

        :param more: blocks that follow it on the wire, the last one with the empty line that ends the head: hooks see
            them too. They are joined only if one looks.
        :param lowered: the block in lower case, if it is there already.
        :param came: the block without fields of the gateway's own; the same unless given.
        """
        # What is read of each response is stored, also where the class has the same: it takes longer to find it there.
        response: Response = _StreamedResponse()
        response.status = status
        response.reason = reason
        response._head_block = block
        response._more = more
        response._lowered = lowered
        response._came = block if came is None else came
        response._headers = response._body = None
        response._added = b""
        return response

    @property
    def content_length(self) -> int | None:
        """Bytes of the body before its filters, if they are known: what `headers` does not say of an upstream's."""
        if self.is_streamed and not self._has_assigned_body:
            return self.came_length
        return len(self._body) if isinstance(self._body, bytes) else None

    @property
    def headers(self) -> Headers:
        """The head's fields."""
        headers = self._headers
        if headers is None:
            headers = self._headers = headers_of_block(shown_block(self), None, self._added)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers
        self._head_block, self._more, self._added = b"", (), b""  # these have nothing to do with the fields that came

    @property
    def received_headers(self) -> Headers | None:
        """The fields of an upstream's response as they came, read-only: without what the gateway and hooks added.

        With ``rewrite_response`` they are in the client's words already. None for a response that was made here.
        """
        return None if self._came is None else frozen_headers(self._came)

    def first_value(self, name: str) -> bytes | None:
        """Return the first value of a field as its bytes: quicker than ``headers.get_bytes`` if that is all."""
        if self._headers is None and self._lowered:
            value = value_in(self._head_block, self._lowered, name)
            if value is not None:
                return value
        return self.headers.get_bytes(name)

    def add_fields(self, fields: FieldBlock, unless: FieldNames | None = None) -> bool:
        """Append fields: the same as ``headers.extend``, at the least cost where nothing looks at the other fields.

        :param unless: append nothing if there is a field of one of these names.
        :returns: whether they were appended.
        """
        lowered, added = self._lowered, self._added
        if (
            self._headers is None
            and not fields.has_framing
            and (unless is None or (lowered and not unless.has_added and not unless.are_in_repeated(lowered)))
            and (unless is None or not added or unless.search(added.lower()) is None)
        ):
            self._added = added + fields.lines
            return True
        return self.headers.extend_unless(fields, unless)

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
        headers = self.headers.copy()  # first: a look at the fields joins the blocks that came
        copied = object.__new__(type(self))  # a fifth of what `copy.copy` takes
        copied.__dict__.update(self.__dict__)
        copied._headers = headers
        return copied

    @property
    def is_problem(self) -> bool:
        """Whether this is a problem details response that was made here."""
        return not self.is_streamed and self.headers.get("content-type") == "application/problem+json"

    @property
    def has_body(self) -> bool:
        """Whether a body may follow the head: False for HEAD, 1xx, 204 and 304 (RFC 9110 section 6.4.1)."""
        return not (self.is_for_head or self.status < 200 or self.status in _BODILESS)

    async def read(self, limit: int = 1 << 20) -> bytes:
        """Return the whole body, as the filters added so far make it; it is the body from then on.

        :param limit: bytes at most.
        :raises BodyTooLargeError: the body is larger: 502 unless the hook catches it; the body then goes on from its
            first byte.
        :raises RuntimeError: the body of an upstream is gone, as in `gateway_log`.
        """
        if self.operations is not None and not self._has_assigned_body:
            return await self.operations.read_body(limit)
        if self.is_streamed and not self._has_assigned_body:
            raise RuntimeError("the response is over, and its body gone: read or observe it in gateway_response")
        source: BodySource = source_of(self.body)
        if self.body_filters:
            source = FilteredBody(source, self.body_filters, _report)
        self.body_filters = ()
        try:
            found = await read_whole(source, limit, "response")
        except BaseException as error:
            if isinstance(error, Exception) and self.body_owner is not None and not is_counted(error):
                self.body_owner.body_failed(None, error)
            self._body = SourceIterator(BrokenBody(source, error))  # what was read of it is lost
            raise
        if isinstance(found, TooLarge):
            self._body = SourceIterator(found.rest)
            raise found.error
        self._body = found
        return found

    def set_body(self, data: bytes) -> None:
        """Send this body, in place of the one that came and of what filters and reads made of it.

        Length and digests of the old one are removed, and a strong ETag becomes weak; Content-Encoding is not touched.
        """
        remove_body_fields(self.headers)
        self.came_length = len(data)
        if self.operations is not None and not self._has_assigned_body:
            self.operations.set_body(data)
        else:
            self.body = data
            self.body_filters, self.is_filtered = (), False

    def add_body_filter(self, factory: Callable[[], BodyFilter], *, observe: bool = False) -> None:
        """Send the body through a filter; several apply in the order in which they were added.

        Unless it observes, Content-Length and digests are removed, and a strong ETag becomes weak: also for HEAD and
        304, which have no body to filter, but not for a body that is known to be empty, which stays as it is.

        :param factory: makes the filter when the body begins.
        :param observe: the filter changes nothing: what it returns is ignored, and it is dropped when it fails.
        """
        if not observe and not self._is_empty:
            remove_body_fields(self.headers)
        spec = FilterSpec(factory, observe, running_hook())
        if self.operations is not None and not self._has_assigned_body:
            self.operations.add_body_filter(spec)
        self.body_filters = (*self.body_filters, spec)
        self.is_filtered = self.is_filtered or not observe

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


class _StreamedResponse(Response):
    """An upstream's; so is each response with hooks, of which most ask for nothing."""

    __init__ = object.__init__  # to call such a class takes two thirds of what `__new__` takes
    _body = None
    is_streamed = True
    produced_by = "upstream"
    from_upstream = True


def _report(spec: FilterSpec, error: BaseException) -> None:
    if spec.owner is not None:
        spec.owner.body_failed(None, error)


async def close_bodies(response: Response, kept: Response | None = None) -> None:
    """Close the iterators of a response that is not sent.

    :param kept: a response whose iterator has another owner.
    """
    ends = [each for each in (response.body, *response.replaced) if isinstance(each, AsyncIterator)]
    async with AsyncExitStack() as stack:
        for each in ends:
            if kept is None or each is not kept.body:
                stack.push_async_callback(source_of(each).aclose, None)


def with_assigned_body(response: Response) -> Response:
    """Return a response as one that was made here if a plugin assigned a body to an upstream's; any other as it is."""
    if not response._has_assigned_body:
        return response
    made = response.copy_head()
    made.is_streamed, made.operations = False, None
    remove_body_fields(made.headers)
    return made


def shown_block(response: Response) -> bytes:
    """Return the header block of an upstream's response as hooks were shown it; empty if they assigned other fields."""
    if response._more:
        response._head_block, response._more = b"".join((response._head_block, *response._more))[:-4], ()
    return response._head_block
