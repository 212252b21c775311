"""What is wrong with a response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gateway_plugin_sdk import BodyFilter, Headers, Response

from gateway_plugin_validate.bodies import Content
from gateway_plugin_validate.media import MediaType
from gateway_plugin_validate.operations import DeclaredResponse, Operation
from gateway_plugin_validate.problems import Failure


def head_failures(response: Response, operation: Operation) -> Iterator[Failure]:
    """Yield what is wrong with status and fields."""
    found = _declared(response.status, operation)
    if found is None:
        yield Failure("response", "", "#", "status", f"has the status {response.status}, which is not declared")
        return
    for field in found.fields:
        yield from field.failures({field.name: response.headers.get_all(field.name)})
    if (
        found.bodies.contents
        and response.has_body
        and response.content_length != 0
        and body_rule(response, operation) is None
    ):
        yield Failure("response", "", "#", "media-type", "has a body whose media type is not declared")


def body_rule(response: Response, operation: Operation) -> tuple[Content, MediaType] | None:
    """Return what the body of a response must be; None if that is not declared."""
    found = _declared(response.status, operation)
    types = response.headers.get_all("content-type")
    return None if found is None or len(types) != 1 else found.bodies.find(types[0])


def _declared(status: int, operation: Operation) -> DeclaredResponse | None:
    responses = operation.responses
    return responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("DEFAULT")


class Watch(BodyFilter):
    """Collects a body that passes by, and has it looked at when it is complete."""

    def __init__(self, limit: int, look: Callable[[bytes], None]) -> None:
        """Collect at most so many bytes; a longer body is not looked at."""
        self._limit = limit
        self._look = look
        self._pieces: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> Sequence[bytes]:
        """Keep a piece."""
        self._length += len(data)
        if self._length <= self._limit:
            self._pieces.append(data)
        else:
            self._pieces.clear()
        return ()

    def finish(self, trailers: Headers) -> Sequence[bytes]:  # noqa: ARG002 - the trailers are only for changes
        """Look at the body."""
        if self._length <= self._limit:
            self._look(b"".join(self._pieces))
        return ()
