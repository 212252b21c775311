"""Fixtures of the end-to-end tests: the real command, real upstreams, real sockets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.conftest import environment, starting, to_clients, upstream
from tests.end_to_end.kit import Gateway, ToClients

__all__ = ["environment", "to_clients", "upstream"]


@pytest.fixture
def start(tmp_path: Path, to_clients: ToClients) -> Iterator[Callable[..., Gateway]]:
    """Start a new interpreter for each gateway: processes are found by their command lines.

    Every second connection of the test's clients speaks HTTP/2.
    """
    with starting(tmp_path, to_clients) as begin:
        yield partial(begin, python=sys.executable)
