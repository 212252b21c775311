"""Ports for servers that are started with a number."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 10_000
_COUNT: Final = 22_000
"""They end below those that the system gives to connections, which would take a port before its server does."""

# Processes that run tests side by side have ids in a row, and begin far from each other: a port that one of them was
# given is not taken until its server has started.
_numbers = itertools.count(os.getpid() * 7919)


def free_port() -> int:
    """Return a port that no server has, and that this process did not return before."""
    for number in itertools.islice(_numbers, _COUNT):
        with socket.socket() as probe:
            try:
                probe.bind(("", port := _FIRST + number % _COUNT))
            except OSError:
                continue
            return port
    raise RuntimeError("every port is taken")
