"""Always the first endpoint that is well."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any


class FirstAvailable:
    """A strategy: the first endpoint in the order of the configuration; the others are its stand-ins."""

    is_keyed = False

    def __init__(self, options: Mapping[str, object]) -> None:
        if options:
            raise ValueError(f"first-available has no options: leave out {', '.join(options)}")

    def update(self, members: Any) -> None:
        """Nothing is kept from one choice to the next."""

    def pick(self, usable: Any, key: str | None, rng: Random) -> Any:  # noqa: ARG002  # the interface has them
        """Choose the first; those that are ill are not among them."""
        return usable.endpoints[0]

    def pick_again(self, rest: Any, key: str | None, rng: Random) -> Any:
        """Choose the first of those that were not tried yet."""
        return self.pick(rest, key, rng)
