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


class SentHead:
    """What the head of a response was made of when it went out, and its bytes over HTTP/1: plugins give one again.

    The parts are compared by identity: a change of a field, the body or the status leaves another object.
    """

    __slots__ = ("block", "body", "data", "date", "reason", "status")

    def __init__(self, status: int, reason: str, block: bytes, body: bytes) -> None:
        self.status, self.reason, self.block, self.body = status, reason, block, body
        self.date: bytes | None = None
        """The Date field as a block that is part of ``data``; None if the response has its own."""
        self.data: bytes | None = None
        """Status line and fields without X-Request-Id; None until the response is sent a second time."""

    def keep(self, data: bytes, date: bytes | None) -> None:
        """Keep the bytes for the next time."""
        self.data, self.date = data, date


def sent_head(response: Response) -> SentHead | None:
    """Return how a response went out the last time, if nothing of it was changed since; for the core."""
    sent: SentHead | None = response._sent
    headers = response._headers
    if (
        sent is not None
        and headers is not None
        and sent.block is headers._block
        and sent.body is response._body
        and sent.status is response.status
        and sent.reason is response.reason
    ):
        return sent
    return None


def note_sent(response: Response, body: bytes) -> None:
    """Note what a response was when it went out; for the core."""
    response._sent = SentHead(response.status, response.reason, response.headers._block, body)
