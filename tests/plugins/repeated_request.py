"""A request whose head its client repeats, without a connection around it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway_plugin_sdk import Request


class RepeatedRequest(Request):
    """One that plugins can remember something of; equal dictionaries are equal heads."""

    memory: dict[Hashable, Any] | None = None

    @property
    def repeated(self) -> dict[Hashable, Any] | None:
        return self.memory
