"""Fixtures of the end-to-end tests: the real command, real upstreams, real sockets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.conftest import environment, starting, upstream
from tests.end_to_end.kit import Gateway

__all__ = ["environment", "upstream"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start a new interpreter for each gateway: processes are found by their command lines."""
    with starting(tmp_path) as begin:
        yield partial(begin, python=sys.executable)
