"""Responses to an authority that validates a host name over HTTP (RFC 8555 section 8.3).

They come before everything else: routes, bindings and `https_redirect`. A token that no source of certificates knows
goes on as any other request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final

from gateway_core.clock import Clock
from gateway_core.hooks import Binding, Faults, Hook, Plugin, PluginContext
from gateway_core.messages import Request, Response
from gateway_core.messages.path import CHALLENGE_PREFIX
from gateway_core.metrics import Metrics

_NAME: Final = "certificate-challenges"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
"""Base64url (RFC 8555 section 8.1 asks for 128 bits of entropy, which are 22 characters)."""
_MOST_AT_ONCE: Final = 64
"""Tokens that are looked up at one time: what is beyond that goes to the routes, as if it were unknown."""

KeyAuthorization = Callable[[str], Awaitable[str | None]]


class ChallengeResponses(Plugin[None]):
    """Responds with what sources of certificates know."""

    name = _NAME
    default_on_error = "continue"

    def __init__(self, context: PluginContext, look_up: KeyAuthorization) -> None:
        super().__init__(None, context)
        self._look_up = look_up
        self._pending = 0

    def respond(self, request: Request) -> Awaitable[Response | None] | None:
        """Respond if the path has a token that is known."""
        token = request.raw_path.removeprefix(CHALLENGE_PREFIX)  # the path may have its case folded
        if request.method not in {"GET", "HEAD"} or not _TOKEN.fullmatch(token) or self._pending >= _MOST_AT_ONCE:
            return None
        return self._respond(token)

    async def _respond(self, token: str) -> Response | None:
        self._pending += 1
        try:
            found = await self._look_up(token)
        finally:
            self._pending -= 1
        if found is None:
            return None
        fields = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
        return Response(200, found.encode(), headers=fields)


def challenge_hook(look_up: KeyAuthorization, clock: Clock, metrics: Metrics) -> Hook:
    """Return a hook of the request phase, for requests whose path begins with `CHALLENGE_PREFIX`."""
    context = PluginContext(_NAME, None, clock, logging.getLogger("gateway.certificates"), metrics)
    instance = ChallengeResponses(context, look_up)
    binding = Binding(_NAME, _NAME, "", None, "continue", "continue", None, False, instance, Faults())
    return Hook(instance.respond, binding, "gateway_request")
