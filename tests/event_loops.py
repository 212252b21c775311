"""Which kind of event loop gateways in this process run on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop


@contextmanager
def new_loops(kind: str) -> Iterator[None]:
    """Have ``asyncio.new_event_loop`` return loops of a kind: event loop policies are deprecated from Python 3.14 on.

    :param kind: ``asyncio`` or ``uvloop``.
    """
    with pytest.MonkeyPatch.context() as patch:
        if kind == "uvloop":
            patch.setattr(asyncio, "new_event_loop", uvloop.new_event_loop)
        yield
