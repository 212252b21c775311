"""What plugins may decide from a request's head alone, before there is a `Request`: see `Plugin.passes_early`."""

from __future__ import annotations

from typing import Protocol

from gateway_core.messages.fields import FieldBlock, FieldNames
from gateway_core.messages.received import Arrival


class EarlyHead(Protocol):
    """A request's head as it was read; for reading, and not to be kept."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str:
        """The path as routes match it."""

    @property
    def raw_path(self) -> str: ...
    @property
    def query_string(self) -> str: ...
    @property
    def origin(self) -> Arrival:
        """Where it comes from: ``client_ip``, ``peer_ip``, ``scheme``."""

    def has_any(self, names: FieldNames) -> bool:
        """Return whether there is a field of one of these names, as `Headers.has_any` of `Request.headers`."""

    def first_received(self, name: str) -> bytes | None:
        """Return the first value of a field as the client sent it, as `ReceivedHead.first_value`."""

    def count_received(self, name: str) -> int:
        """Return how many fields of that name the client sent."""


class EarlyPass:
    """What the hooks of a binding do with a request that they let pass: at most fields more.

    Make one for each outcome, and return the same one again and again: what follows from it is remembered.
    """

    __slots__ = ("announced", "fields")

    def __init__(
        self, fields: FieldBlock | None = None, announced: tuple[FieldBlock, FieldNames | None] | None = None
    ) -> None:
        """Describe the outcome.

        :param fields: what the request gets, as by `Request.add_fields`.
        :param announced: what the response is going to get, as in `Request.announced`.
        """
        self.fields = fields
        self.announced = announced

    def __repr__(self) -> str:
        return f"<EarlyPass {self.fields!r}, {self.announced!r}>"
