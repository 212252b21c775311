from __future__ import annotations

from tests.core.hooks.conftest import bind, clock, metrics, request_

__all__ = ["bind", "clock", "metrics", "request_"]
