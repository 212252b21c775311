"""One thing for all bindings that are configured alike: a thousand routes look one token up once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Closable(Protocol):
    """What is shared."""

    async def aclose(self) -> None: ...


ClosableT = TypeVar("ClosableT", bound=Closable)

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, list[Any]]] = WeakKeyDictionary()


def acquire(key: Hashable, make: Callable[[], ClosableT]) -> ClosableT:
    """Return what the running loop has under a key, or make it; give it back with `release`.

    It lives as long as one binding has it, so it also survives a reload, whose new bindings start before the old stop.
    """
    entry = _by_loop.setdefault(asyncio.get_running_loop(), {}).setdefault(key, [None, 0])
    if entry[0] is None:
        entry[0] = make()
    entry[1] += 1
    shared: ClosableT = entry[0]
    return shared


async def release(key: Hashable) -> None:
    """Give back what was acquired under a key; the last one to do so closes it."""
    shared = _by_loop.get(asyncio.get_running_loop(), {})
    entry = shared[key]
    entry[1] -= 1
    if entry[1] == 0:
        del shared[key]
        await entry[0].aclose()
