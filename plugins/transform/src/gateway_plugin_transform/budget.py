"""Bounds the work that one body makes."""

from __future__ import annotations


class OverBudgetError(Exception):
    """A body takes more operations than it may."""


class Budget:
    """Operations that the changes of one body have left; while they run, the event loop does nothing else."""

    __slots__ = ("_left", "_most")

    def __init__(self, most: int) -> None:
        self._left = self._most = most

    def begin(self) -> None:
        """Begin with the next body."""
        self._left = self._most

    def spend(self, count: int = 1) -> None:
        """Count operations before they are done.

        :raises OverBudgetError: they are too many.
        """
        self._left -= count
        if self._left < 0:
            raise OverBudgetError
