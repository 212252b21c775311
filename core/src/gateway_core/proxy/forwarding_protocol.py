"""What the phases of a request use of one that a hook forwards."""

from __future__ import annotations

from typing import Protocol

from gateway_core.hooks import Stop


class Forwarding(Protocol):
    """A request that a pre-proxy hook sends on by `Request.forward`."""

    def end(self, stop: Stop | None) -> None:
        """Respond: the pre-proxy phase is over.

        :param stop: what the hook that forwarded returned in place of the response; None for that itself.
        """
