"""What is wrong with a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from gateway_plugin_sdk import Request

from gateway_plugin_validate.bodies import Bodies
from gateway_plugin_validate.operations import Operation
from gateway_plugin_validate.parameters import TextError, read_pairs
from gateway_plugin_validate.problems import Failure, Reason

Decision = Sequence[Failure] | Reason

_MISSING: Final = Failure("body", "", "#", "missing", "is missing")
_NO_BODY: Final = Reason(415, "media-type", "this operation takes no body")
_COMPRESSED: Final = Reason(
    415, "content-encoding", "the body must not be compressed", fields=(("Accept-Encoding", "identity"),)
)


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


class Expected(NamedTuple):
    """A body that has to be read before there is a decision."""

    limit: int
    """Bytes at most; 0 if there must be none."""
    decide: Callable[[bytes], Decision]
    """Returns what is wrong with it."""

    @property
    def too_large(self) -> Reason:
        """What a larger one means."""
        return Reason(413, "too-large", f"the body has more than {self.limit} bytes") if self.limit else _NO_BODY


def expected_body(request: Request, bodies: Bodies | None, limit: int) -> Expected | Decision:
    """Return what is wrong with the body of a request that has one, by its head, or how the rest is found out.

    :param bodies: what is declared; None if there must be no body.
    :param limit: bytes that are read at most.
    """
    if bodies is None:
        return Expected(0, _nothing)
    missing = missing_body(bodies)
    headers = request.headers
    types = headers.get_all("content-type")
    if not types:  # without a length it may be empty
        return Expected(limit, lambda data: _refused(bodies) if data else missing)
    if "content-encoding" in headers and not _is_plain(headers.get_all("content-encoding")):
        return _COMPRESSED
    found = bodies.find(types[0]) if len(types) == 1 else None
    if found is None:
        return _refused(bodies)
    content, sent = found
    if not content.is_read(sent.kind):
        return ()
    return Expected(limit, lambda data: content.failures(data, sent) if data else missing)


def missing_body(bodies: Bodies | None) -> Sequence[Failure]:
    """Return what is wrong with a request that has no body."""
    return (_MISSING,) if bodies is not None and bodies.required else ()


def _refused(bodies: Bodies) -> Reason:
    accepted = ", ".join(each.range.name for each in bodies.contents)
    fields = (("Accept", accepted),) if accepted else ()
    return Reason(415, "media-type", "the body's media type or charset is not one of this operation", fields=fields)


def _nothing(data: bytes) -> Sequence[Failure]:  # noqa: ARG001 - it is empty
    return ()


def _is_plain(encodings: Sequence[str]) -> bool:
    return all(each.strip().lower() in {"", "identity"} for each in ",".join(encodings).split(","))
