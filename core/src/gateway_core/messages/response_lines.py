"""What the core reads of a response that hooks saw: its fields, what they added, whether they gave it another body."""

from __future__ import annotations

from collections.abc import Callable

from gateway_core.messages.response import Response, shown_block


def response_block(response: Response) -> bytes:
    """Return the header block as it is now, changed or not; for the core (see `Headers`)."""
    return shown_block(response) + response._added if response._headers is None else response._headers._block


def added_lines(response: Response, status: int, reason: str, are_gateways: Callable[[bytes], bool]) -> bytes | None:
    """Return what hooks added behind the fields of an upstream's response; for the core.

    :param status: that came; as did the reason.
    :param are_gateways: returns whether one of some lines is a field that the gateway writes itself.
    :returns: lines that each begin with CRLF, empty if nothing was added; None if something was changed, or a field of
        the gateway added.
    """
    if response._body is not None or response.status != status or response.reason is not reason:
        return None
    headers, base = response._headers, response._head_block
    if headers is None:
        return response._added  # which has none of the gateway's
    if (block := headers._block) is base:
        return b""
    if not base or not block.startswith(base):
        return None
    added = block[len(base) :]
    # What does not begin a line went on with the last one: a value that a hook made longer.
    return added if not added or (added.startswith(b"\r\n") and not are_gateways(added)) else None


def lines_of_hooks(response: Response) -> bytes:
    """Return every line of an upstream's response that may be a hook's; for the core."""
    headers = response._headers
    if headers is None:
        return response._added
    return headers._written if response._head_block else headers._block


def has_assigned_body(response: Response) -> bool:
    """Return whether a body was assigned in place of an upstream's; for the core."""
    return response.is_streamed and response._body is not None
