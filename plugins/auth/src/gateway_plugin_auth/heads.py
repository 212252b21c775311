"""Heads that were let in before.

Clients repeat their heads: on one connection the very same bytes come again. So what was found out about a head is
kept, and the next request with it costs one look-up instead of a search for the token, a hash and another look-up.
"""

from __future__ import annotations

from typing import Final

from gateway_plugin_sdk import Headers, HeadersKey, Request

from gateway_plugin_auth.outcomes import Verified

MOST_HEADS: Final = 512
LONGEST_HEAD: Final = 4096
"""Bytes; with the number of heads a bound on the memory."""


class KnownHead:
    """What became of a head: who called, and the fields that went on."""

    __slots__ = ("fields", "identity", "proof")

    def __init__(self, caller: Verified, fields: Headers | None) -> None:
        self.identity = caller.identity
        self.proof = caller.proof
        self.fields = fields
        """The fields as they go upstream; None if they are those of the head."""

    def apply(self, request: Request) -> None:
        """Do to a request what was done to the first one with this head."""
        request.identity = self.identity
        if self.fields is not None:
            request.headers = self.fields.copy()


class KnownHeads:
    """A bounded map from keys of heads to what became of them; the one that was added first goes first."""

    __slots__ = ("_heads", "get", "size")

    def __init__(self, size: int = MOST_HEADS) -> None:
        self.size = size
        self._heads: dict[HeadersKey, KnownHead] = {}
        self.get = self._heads.get

    def __len__(self) -> int:
        return len(self._heads)

    def put(self, head: HeadersKey, caller: Verified, request: Request) -> None:
        """Remember a head, and what it is after its request was let in.

        :param head: the key of its fields before that.
        """
        if caller.proof is None or len(head) > LONGEST_HEAD or not self.size:
            return
        fields = None if request.headers_key == head else request.headers.copy()
        heads = self._heads
        if len(heads) >= self.size and head not in heads:
            del heads[next(iter(heads))]
        heads[head] = KnownHead(caller, fields)

    def drop(self, head: HeadersKey) -> None:
        """Forget a head; it need not be there."""
        self._heads.pop(head, None)
