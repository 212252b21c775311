"""Weighted split over targets by a counter (exact, even, repeatable) or by a key, and sampling by percentage."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import gcd, log
from typing import Generic, TypeVar

T = TypeVar("T")

_GOLDEN = 0.6180339887498949
_SAMPLES = 10_000


class WeightedTargets(Generic[T]):
    """Targets with weights; every run of ``total`` successive counters gives each target exactly its weight.

    The picks of one target are spread over the run (steps of about the golden ratio of it), not clumped.
    """

    __slots__ = ("_ends", "_step", "_targets", "total")

    def __init__(self, targets: Sequence[tuple[T, int]]) -> None:
        """Take (target, weight) pairs; a weight of 0 gets nothing.

        :raises ValueError: a weight is negative, or none is above 0.
        """
        for target, weight in targets:
            if weight < 0:
                raise ValueError(f"weight {weight} of target {target!r} is below 0")
        weights = [weight for _, weight in targets]
        divisor = gcd(*weights)
        if divisor == 0:
            raise ValueError("no target has a weight above 0: give at least one")
        self._targets = [target for target, weight in targets if weight]
        self._ends = list(accumulate([weight // divisor for weight in weights if weight]))
        self.total = self._ends[-1]
        self._step = _coprime_step(self.total)

    def pick(self, counter: int) -> T:
        """Return the target for the request with this number; callers count up by one per request."""
        if self.total == 1:
            return self._targets[0]
        return self._targets[bisect_right(self._ends, counter * self._step % self.total)]


def rendezvous(key: str, targets: Sequence[tuple[str, int]]) -> int:
    """Return the index of the target that a key belongs to, in proportion to the weights.

    Rendezvous hashing (Thaler and Ravishankar 1998) with logarithmic weights: a change of one target moves only the
    keys that it loses or gains. BLAKE2b rather than ``hash()``, so that all workers and gateways agree.

    :param targets: (name, weight) pairs, of which at least one has a weight above 0.
    """

    def score(index: int) -> float:
        name, weight = targets[index]
        digest = blake2b(f"{name}\n{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / ((1 << 64) + 2)  # within (0, 1)
        return -weight / log(uniform)

    return max((index for index, (_, weight) in enumerate(targets) if weight > 0), key=score)


def samples(percent: float, counter: int) -> bool:
    """Say whether the request with this number is in a sample of ``percent`` (0 to 100, in steps of 0.01).

    Of 10,000 successive counters exactly ``percent * 100`` are in it, evenly spread.
    """
    return counter * _SAMPLE_STEP % _SAMPLES < round(percent * 100)


def _coprime_step(total: int) -> int:
    """Return the step next to the golden ratio of ``total`` that visits every number below it."""
    step = max(1, round(total * _GOLDEN))
    while gcd(step, total) != 1:
        step += 1
    return step


_SAMPLE_STEP = _coprime_step(_SAMPLES)
