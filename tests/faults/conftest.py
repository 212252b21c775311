"""Fixtures of the end-to-end tests: the real command, real upstreams, real sockets."""

from __future__ import annotations

from tests.end_to_end.conftest import environment, start, to_clients, upstream

__all__ = ["environment", "start", "to_clients", "upstream"]
