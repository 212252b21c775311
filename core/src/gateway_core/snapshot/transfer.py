"""A valid configuration as lines of JSON: how it travels from the process that checked it to those that serve.

Reading one document of some megabytes would hold up requests, so it is cut into lines that are each read in a
fraction of a millisecond, and a `Yielder` lets the event loop run between slices of that and other long work.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from gateway_core.clock import Clock
from gateway_core.config import LoadedConfig

_ITEMS: Final = 20
_PLACES: Final = 200
_PART: Final = 1000

T = TypeVar("T")


def to_lines(loaded: LoadedConfig) -> Iterator[bytes]:
    """Write a configuration as lines: the head first, then the parts in any number."""
    document = loaded.to_canonical()
    config = dict(document["config"])
    routes, upstreams = config.pop("routes", []), config.pop("upstreams", [])
    places = list(document["places"].items())
    yield _line({**document, "config": config, "places": {}})
    for part in _parts(upstreams, _ITEMS):
        yield _line({"upstreams": part})
    for part in _parts(routes, _ITEMS):
        yield _line({"routes": part})
    for part in _parts(places, _PLACES):
        yield _line({"places": dict(part)})


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def from_lines(lines: Sequence[bytes], yielder: Yielder) -> LoadedConfig:
    """Read what `to_lines` wrote, in slices.

    :raises ValueError: it was written by another version of the gateway, or is damaged.
    """
    document = json.loads(lines[0])
    config = document["config"]
    config["routes"], config["upstreams"] = [], []
    for line in lines[1:]:
        part: Mapping[str, Any] = json.loads(line)
        for key in ("routes", "upstreams"):
            config[key] += part.get(key, [])
        document["places"].update(part.get("places", {}))
        await yielder.checkpoint()
    steps = LoadedConfig.from_canonical_steps(document)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            loaded: LoadedConfig = done.value
            return loaded
        await yielder.checkpoint()


SLICE_SECONDS: Final = 0.002


class Yielder:
    """Lets the loop run whenever a slice is used up."""

    __slots__ = ("_clock", "_slice", "_until")

    def __init__(self, clock: Clock, slice_seconds: float = SLICE_SECONDS) -> None:
        self._clock = clock
        self._slice = slice_seconds
        self._until = clock.monotonic()
        """When the slice ends: at once for the first one, as what has run before is not known."""

    async def checkpoint(self) -> None:
        """Call between two pieces of work, each much shorter than a slice."""
        if self._clock.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = self._clock.monotonic() + self._slice

    async def parts(self, items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        """Yield the items in parts, each of them for work of less than half a microsecond an item.

        One pass over ten thousand models takes as long as two slices: to read an attribute of theirs is slow.
        """
        for start in range(0, len(items), _PART):
            await self.checkpoint()
            yield items[start : start + _PART]
