"""What the core reads of a request that hooks saw: its fields, and what they added. Plugins never see their form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final

from gateway_core.messages.fields import FieldBlock, FieldNames
from gateway_core.messages.received import Arrival, RequestHead
from gateway_core.messages.request import Request

arrival_of: Final[Callable[[Request], Arrival | None]] = attrgetter("_arrival")
"""Returns what is known of the connection that a request came over; None if it came over none."""


request_for_head: Final = Request.for_head
"""The same; it takes longer to find it in the class."""


def request_block(request: Request) -> bytes:
    """Return the header block as it is now, changed or not (see `Headers`)."""
    headers = request._headers
    return request._head_block + request._added if headers is None else headers._block


def lines_added(request: Request, head: RequestHead) -> bytes | None:
    """Return what hooks added behind the fields of a request by `Request.add_fields`, if they changed nothing else.

    :param head: the one that came.
    :returns: lines that each begin with CRLF, empty if nothing was added; None if anything was changed otherwise.
    """
    if request.query_string is not head.query_string or request.method is not head.method or request.path_was_set:
        return None
    headers = request._headers
    if headers is None:
        return request._added
    return b"" if headers._block is head.facts.block else None


def let_pass(
    request: Request,
    lines: bytes,
    announced: Mapping[object, tuple[FieldBlock, FieldNames | None]],
    upstream: str | None,
) -> None:
    """Make a new request what it would be if its hooks had added lines, and announced fields for the response.

    :param upstream: the target that was chosen before them; None if there were none in the pre-proxy phase.
    """
    request._added, request.announced, request.upstream = lines, dict(announced), upstream
