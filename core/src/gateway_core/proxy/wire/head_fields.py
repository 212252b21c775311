"""What is looked up in a request's head before there is a request (`gateway_core.messages.EarlyHead`)."""

from __future__ import annotations

from gateway_core.messages import ReceivedHead
from gateway_core.messages.field_search import count_in, value_in
from gateway_core.messages.fields import FieldNames
from gateway_core.messages.headers import headers_of_block
from gateway_core.messages.received import RequestHead
from gateway_core.proxy.wire.request_fields import RequestFacts


class HeadFields:
    """The look-ups of a head that has been read."""

    __slots__ = ()

    facts: RequestFacts

    def header_values(self, name: str) -> list[str]:
        """Return the values of all fields of a name, in order."""
        return headers_of_block(self.facts.block, self.facts.lowered).get_all(name)

    def has_any(self, names: FieldNames) -> bool:
        """Return whether there is a field of one of these names."""
        return names.search(self.facts.lowered) is not None

    def first_received(self: RequestHead, name: str) -> bytes | None:
        """Return the first value of a field as the client sent it."""
        facts = self.facts
        if facts.block is facts.raw and facts.sent is None:  # as mostly: nothing was rewritten or removed
            return value_in(facts.block, facts.lowered, name)
        return ReceivedHead(self).headers.get_bytes(name)

    def count_received(self: RequestHead, name: str) -> int:
        """Return how many fields of that name the client sent."""
        facts = self.facts
        if facts.block is facts.raw and facts.sent is None:
            return count_in(facts.lowered, name)
        return ReceivedHead(self).headers.count(name)
