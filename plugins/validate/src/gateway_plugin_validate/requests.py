"""What is wrong with a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway_plugin_sdk import BodyTooLargeError, Request

from gateway_plugin_validate.bodies import Bodies
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


async def body_failures(request: Request, bodies: Bodies | None, limit: int) -> Sequence[Failure] | Reason:
    """Return what is wrong with a body.

    :param bodies: what is declared; None if there must be no body.
    :raises BodyTooLargeError: it is larger than the limit.
    """
    if bodies is None:
        return await _no_body(request)
    headers = request.headers
    types = headers.get_all("content-type")
    if not request.has_body or (not types and not await request.read(limit)):
        return (_MISSING,) if bodies.required else ()
    if "content-encoding" in headers and not _is_plain(headers.get_all("content-encoding")):
        return Reason(
            415, "content-encoding", "the body must not be compressed", fields=(("Accept-Encoding", "identity"),)
        )
    found = bodies.find(types[0]) if len(types) == 1 else None
    if found is None:
        accepted = ", ".join(each.range.name for each in bodies.contents)
        fields = (("Accept", accepted),) if accepted else ()
        return Reason(415, "media-type", "the body's media type or charset is not one of this operation", fields=fields)
    content, sent = found
    if not content.is_read(sent.kind):
        return ()
    data = await request.read(limit)
    if not data:
        return (_MISSING,) if bodies.required else ()
    return content.failures(data, sent)


def _is_plain(encodings: Sequence[str]) -> bool:
    return all(each.strip().lower() in {"", "identity"} for each in ",".join(encodings).split(","))


async def _no_body(request: Request) -> Sequence[Failure] | Reason:
    try:
        await request.read(0)
    except BodyTooLargeError:
        return Reason(415, "media-type", "this operation takes no body")
    return ()
