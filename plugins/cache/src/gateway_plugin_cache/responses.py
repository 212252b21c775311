"""What a client gets of a stored response: all of it, a part, or that it has it already (RFC 9111 section 4.3.2)."""

from __future__ import annotations

import math
import secrets
from typing import Final

from gateway_plugin_sdk import FieldNames, Headers, Response
from gateway_plugin_sdk.conditions import may_send_ranges, verdict
from gateway_plugin_sdk.ranges import Range, Ranges, content_range, multipart, parse_ranges

from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.request_control import RequestControl

_NOT_IN_304: Final = FieldNames(("Content-Type", "Content-Encoding", "Content-Language", "Content-Range"))
_ENTIRE: Final[Ranges] = "whole"


class Responder:
    """Makes responses out of entries."""

    def __init__(self, name: str | None, max_ranges: int, hidden: tuple[str, ...]) -> None:
        """Take what all of them have in common.

        :param name: this cache's, in Cache-Status; None writes no such field.
        :param hidden: fields that clients do not get.
        """
        self._name = name
        self._max_ranges = max_ranges
        self._hidden = FieldNames(hidden) if hidden else None

    def hit(self, entry: Entry, now: float) -> Response:
        """Return the response to a plain request, which is the same for a second: only its age changes."""
        prepared = entry.prepared
        if prepared is None or now >= entry.prepared_until:
            prepared = entry.prepared = self.whole(entry, now, "hit")
            entry.prepared_until = entry.generated_at + min(int(entry.age(now)) + 1, entry.policy.lifetime)
        return prepared

    def whole(self, entry: Entry, now: float, result: str) -> Response:
        """Return all of a stored response."""
        return _stored(entry.status, entry.body, self._headers(entry, now, result))

    def reply(
        self, entry: Entry, method: str, headers: Headers, control: RequestControl, now: float, result: str
    ) -> Response:
        """Return what a request gets of a stored response, by its conditions and ranges.

        :param headers: the request's.
        :param result: what happened, in parameters of Cache-Status.
        """
        if entry.status == 200:
            if control.is_conditional and verdict(headers, entry.validators) == "not-modified":
                fields = self._headers(entry, now, result)
                fields.remove_any(_NOT_IN_304)
                return _stored(304, b"", fields)
            if control.has_range and method == "GET":
                return self._part(entry, headers, now, result)
        return self.whole(entry, now, result)

    def _part(self, entry: Entry, headers: Headers, now: float, result: str) -> Response:
        body, size, values = entry.body, len(entry.body), headers.get_all("Range")
        ranges = _ENTIRE
        if self._max_ranges and len(values) == 1 and may_send_ranges(headers, entry.validators):
            ranges = parse_ranges(values[0], size, self._max_ranges)
        if ranges == "whole":
            return self.whole(entry, now, result)
        if ranges == "unsatisfiable":
            response = Response.problem(416, "there are no such bytes", headers={"Content-Range": f"bytes */{size}"})
            self.mark(response, result)
            return response
        fields = self._headers(entry, now, result)
        if len(ranges) == 1:
            part: Range = ranges[0]
            fields["Content-Range"] = content_range(part, size)
            return _stored(206, body[slice(*part)], fields)
        boundary = secrets.token_hex(16)
        media_type = fields.pop("Content-Type", "application/octet-stream")
        fields["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
        parts = multipart(ranges, size, media_type, boundary)
        return _stored(206, b"".join(each if isinstance(each, bytes) else body[slice(*each)] for each in parts), fields)

    def _headers(self, entry: Entry, now: float, result: str) -> Headers:
        headers, age = entry.headers.copy(), entry.age(now)
        if self._hidden is not None:
            headers.remove_any(self._hidden)
        headers.add("Age", str(max(0, int(age))))
        if self._name is not None:
            headers.add("Cache-Status", f"{self._name}; {result}; ttl={math.floor(entry.policy.lifetime - age)}")
        return headers

    def hide(self, response: Response) -> None:
        """Take away what clients do not get."""
        if self._hidden is not None:
            response.headers.remove_any(self._hidden)

    def mark(self, response: Response, result: str) -> None:
        """Say in Cache-Status what happened (RFC 9211)."""
        if self._name is not None:
            response.headers.add("Cache-Status", f"{self._name}; {result}")


def _stored(status: int, body: bytes, headers: Headers) -> Response:
    response = Response(status, body, headers)
    response.from_upstream = True
    return response
