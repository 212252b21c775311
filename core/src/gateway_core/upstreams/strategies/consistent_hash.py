"""The same key to the same endpoint, and few keys moved when endpoints come and go.

A hash ring: each endpoint owns points on a circle of 64-bit numbers, in proportion to its weight, and a key belongs to
the first point after its own hash. Removing one of n endpoints moves only that endpoint's keys, about 1/n of all, and
spreads them over the others. Endpoints that are not usable at the moment stay on the ring and are passed over, so a
flapping health check costs nothing and its keys come home.

Hashes come from BLAKE2b, not from ``hash()``: all workers and all gateways must agree.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from hashlib import blake2b
from random import Random
from struct import Struct
from typing import Final

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import NO_CANDIDATES, Candidates
from gateway_core.upstreams.strategies.weighted_round_robin import WeightedRoundRobin

POINTS_PER_WEIGHT: Final = 160
"""Load differs between equal endpoints by about 1/sqrt(160), 8 percent."""
LARGEST_FACTOR: Final = 16
"""Weights above this are scaled down, by powers of two so that a small change rarely changes the scale."""

_SLOT_BITS: Final = 20
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1
"""A point is one number: where it is on the circle in the upper 44 bits, whose it is in the lower 20."""
_DIGEST: Final = Struct("!8Q")


class ConsistentHash:
    """Chooses by the key; each endpoint in turn when there is none."""

    __slots__ = ("_fallback", "_free", "_ring", "_seen", "_sizes", "_slots", "_usable")

    is_keyed = True

    def __init__(self) -> None:
        self._ring = array("Q")
        self._sizes: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._seen = NO_CANDIDATES
        self._usable: list[Endpoint | None] = []
        self._fallback = WeightedRoundRobin()

    def update(self, members: Candidates) -> None:
        """Change the points of those endpoints that came, went or changed their weight."""
        scale = scale_of(members.weights)
        sizes = {
            endpoint.id: max(1, round(POINTS_PER_WEIGHT * weight / scale))
            for endpoint, weight in zip(members.endpoints, members.weights, strict=True)
        }
        changed = {name for name, _ in self._sizes.items() ^ sizes.items()}
        if not changed:
            return
        gone = [point for name in changed & self._sizes.keys() for point in self._points(name, self._sizes[name])]
        for name in changed - sizes.keys():
            self._free.append(self._slots.pop(name))
        for name in changed - self._slots.keys():
            self._slots[name] = self._free.pop() if self._free else len(self._slots)
        come = [point for name in changed & sizes.keys() for point in self._points(name, sizes[name])]
        self._ring = splice(self._ring, gone, come)
        self._sizes = sizes
        self._seen = NO_CANDIDATES

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:
        if key is None:
            return self._fallback.pick(usable, key, rng)
        if usable is not self._seen:
            self._seen = usable
            self._usable = self._by_slot(usable)
        return self._walk(self._usable, key) or self._fallback.pick(usable, key, rng)

    def pick_again(self, rest: Candidates, key: str | None, rng: Random) -> Endpoint:
        chosen = None if key is None else self._walk(self._by_slot(rest), key)
        return chosen or self._fallback.pick_again(rest, key, rng)

    def _points(self, name: str, count: int) -> list[int]:
        slot = self._slots[name]
        return [point & ~_SLOT_MASK | slot for point in points_of(name, count)]

    def _by_slot(self, candidates: Candidates) -> list[Endpoint | None]:
        by_slot: list[Endpoint | None] = [None] * (len(self._slots) + len(self._free))
        for endpoint in candidates.endpoints:
            slot = self._slots.get(endpoint.id)
            if slot is not None:
                by_slot[slot] = endpoint
        return by_slot

    def _walk(self, by_slot: list[Endpoint | None], key: str) -> Endpoint | None:
        ring = self._ring
        start = bisect_right(ring, hash_of(key))
        for index in range(start, start + len(ring)):
            endpoint = by_slot[ring[index % len(ring)] & _SLOT_MASK]
            if endpoint is not None:
                return endpoint
        return None


def splice(ring: array[int], gone: list[int], come: list[int]) -> array[int]:
    """Return a sorted array without some of its items and with others.

    A few changes to a long array are copied around in blocks, which costs a memory copy and no comparison of the rest.
    """
    if (len(gone) + len(come)) * 8 > len(ring):
        dropped = set(gone)
        return array("Q", sorted([point for point in ring if point not in dropped] + come))
    result = array("Q")
    copied = 0
    events = sorted([(point, True) for point in gone] + [(point, False) for point in come])
    for point, is_gone in events:
        index = bisect_left(ring, point, lo=copied)
        result += ring[copied:index]
        copied = index
        if is_gone:
            copied += 1
        else:
            result.append(point)
    result += ring[copied:]
    return result


def hash_of(key: str) -> int:
    """Return where a key is on the circle."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def points_of(name: str, count: int) -> list[int]:
    """Return an endpoint's points; those of a smaller weight are the first of those of a larger one."""
    points: list[int] = []
    for block in range(-(-count // 8)):
        points += _DIGEST.unpack(blake2b(f"{name}\n{block}".encode()).digest())
    return points[:count]


def scale_of(weights: tuple[int, ...]) -> int:
    """Return the power of two by which weights are divided."""
    largest, scale = max(weights, default=1), 1
    while largest > LARGEST_FACTOR * scale:
        scale *= 2
    return scale
