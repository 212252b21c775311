"""What is wrong with a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway_plugin_sdk import BodyTooLargeError, Request

from gateway_plugin_validate.bodies import Bodies
from gateway_plugin_validate.media import read_media_type
from gateway_plugin_validate.operations import Operation
from gateway_plugin_validate.parameters import TextError, read_pairs
from gateway_plugin_validate.problems import Failure, Reason

_MISSING: Final = Failure("body", "", "#", "missing", "is missing")


def parameter_failures(
    request: Request, operation: Operation, path: dict[str, list[str]], *, refuse_unknown: bool
) -> Iterator[Failure]:
    """Yield what is wrong with path, query, fields and cookies.

    :param path: what the path has for the parameters in it, as it was sent.
    """
    for parameter in operation.path:
        yield from parameter.failures(path)
    if operation.query or (refuse_unknown and request.query_string):
        yield from _query_failures(request.query_string, operation, refuse_unknown=refuse_unknown)
    if operation.header:
        headers = request.headers
        for parameter in operation.header:
            yield from parameter.failures({parameter.name: headers.get_all(parameter.name)})
    for parameter in operation.cookie:
        cookie = request.cookie(parameter.name)
        yield from parameter.failures({} if cookie is None else {parameter.name: [cookie]})


def _query_failures(query: str, operation: Operation, *, refuse_unknown: bool) -> Iterator[Failure]:
    try:
        pairs = read_pairs(query)
    except TextError as error:
        yield Failure("query", "", "#", error.keyword, f"a name {error.detail}")
        return
    for parameter in operation.query:
        yield from parameter.failures(pairs)
    if refuse_unknown:
        for name in pairs:
            if not any(parameter.takes(name) for parameter in operation.query):
                yield Failure("query", name[:100], "#", "unknown", "is not declared")


def may_have_body(request: Request) -> bool:
    """Return False if the head shows that there is no body: HTTP/2 does not need a length for one."""
    headers = request.received.headers
    if not request.version.startswith("1"):
        return headers.get("content-length") != "0"
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def body_failures(request: Request, bodies: Bodies | None, limit: int) -> Sequence[Failure] | Reason:
    """Return what is wrong with a body.

    :param bodies: what is declared; None if there must be no body.
    :raises BodyTooLargeError: it is larger than the limit.
    """
    if bodies is None:
        return await _no_body(request)
    headers = request.headers
    types = headers.get_all("content-type")
    if not may_have_body(request) or (not types and not await request.read(limit)):
        return (_MISSING,) if bodies.required else ()
    encodings = [each.strip().lower() for each in ",".join(headers.get_all("content-encoding")).split(",")]
    if any(each not in {"", "identity"} for each in encodings):
        return Reason(
            415, "content-encoding", "the body must not be compressed", fields=(("Accept-Encoding", "identity"),)
        )
    sent = read_media_type(types[0]) if len(types) == 1 else None
    content = None if sent is None else bodies.find(sent)
    if sent is None or content is None:
        accepted = ", ".join(each.range.name for each in bodies.contents)
        fields = (("Accept", accepted),) if accepted else ()
        return Reason(415, "media-type", "the body's media type or charset is not one of this operation", fields=fields)
    if not content.is_read(sent.kind):
        return ()
    data = await request.read(limit)
    if not data:
        return (_MISSING,) if bodies.required else ()
    return content.failures(data, sent)


async def _no_body(request: Request) -> Sequence[Failure] | Reason:
    try:
        await request.read(0)
    except BodyTooLargeError:
        return Reason(415, "media-type", "this operation takes no body")
    return ()
