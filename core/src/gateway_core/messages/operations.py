"""What a message can be asked to do while it is in progress: what the data path serves plugins with."""

from __future__ import annotations

from typing import Protocol, TypeVar

from gateway_core.messages.body import FilterSpec

OperationsT_co = TypeVar("OperationsT_co", covariant=True)
RequestT_co = TypeVar("RequestT_co", covariant=True)
ResponseT_co = TypeVar("ResponseT_co", covariant=True)


class InProgress(Protocol[OperationsT_co]):
    """What serves a request or a response while hooks see it."""

    @property
    def operations(self) -> OperationsT_co:
        """What it can be asked to do; made when a hook asks."""


class RequestOperations(Protocol[RequestT_co, ResponseT_co]):
    """What a request in progress can be asked to do; see the methods of `Request`."""

    @property
    def has_body(self) -> bool: ...
    async def read_body(self, limit: int) -> bytes: ...
    def read_body_nowait(self, limit: int) -> bytes | None: ...
    def set_body(self, data: bytes) -> None: ...
    def add_body_filter(self, spec: FilterSpec) -> bool: ...  # whether there is a body
    async def forward(self) -> ResponseT_co: ...
    def detach(self) -> RequestT_co: ...
    def abort(self, reason: str) -> None: ...


class ResponseOperations(Protocol):
    """What a response whose body is streamed can be asked to do; see the methods of `Response`."""

    async def read_body(self, limit: int) -> bytes: ...
    def set_body(self, data: bytes) -> None: ...
    def add_body_filter(self, spec: FilterSpec) -> object: ...
