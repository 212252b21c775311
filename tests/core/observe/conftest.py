"""Hooks to observe are made as those that are run."""

from tests.core.hooks.conftest import bind, clock, counted, metrics, request_

__all__ = ["bind", "clock", "counted", "metrics", "request_"]
