"""Always the first endpoint that is well."""

from __future__ import annotations

from random import Random

from gateway_plugin_sdk import Candidates, Endpoint


class FirstAvailable:
    """A strategy: the first endpoint in the order of the configuration; the others are its stand-ins."""

    is_keyed = False

    config_model = None

    def __init__(self, config: object) -> None:
        """Take no options: the gateway refuses any."""

    def update(self, members: Candidates) -> None:
        """Nothing is kept from one choice to the next."""

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002  # the interface has them
        """Choose the first; those that are ill are not among them."""
        return usable.endpoints[0]

    def pick_again(self, rest: Candidates, key: str | None, rng: Random) -> Endpoint:
        """Choose the first of those that were not tried yet."""
        return self.pick(rest, key, rng)
