"""What the names of upstreams mean to code that sends requests of its own: one configuration's upstreams.

Each snapshot has one `UpstreamScope`. A context variable says which one counts: every exchange's context has that of
its snapshot, and a plugin's `start` that of the snapshot that is being prepared. Where it is not set, or its snapshot
was closed meanwhile, the snapshot in force counts.

Besides the configured upstreams there are those that are named by URL. The configuration knows the ones that routes
have as targets; any other is opened when it is first asked for, and the least recently used one is closed when there
are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Final

from gateway_core.config import is_url
from gateway_core.errors import UpstreamError
from gateway_core.reasons import UNKNOWN_UPSTREAM
from gateway_core.tasks import spawn
from gateway_core.upstreams.runtime import LiveUpstream
from gateway_core.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from gateway_core.hooks.chain import Hook
    from gateway_core.hooks.own_cookies import CookieFilter

MOST_URLS: Final = 256
"""Upstreams named by URL that are kept open: a plugin may make URLs of what clients send."""


class UpstreamScope:
    """The upstreams of one snapshot, by name or URL."""

    __slots__ = (
        "_open", "_opened", "attempt_hooks", "context", "is_closed", "own_cookies", "upstreams", "via", "via_line",
    )  # fmt: skip

    def __init__(self, open_url: Callable[[str], LiveUpstream]) -> None:
        """Begin with none.

        :param open_url: makes the upstream that a URL stands for; raises ValueError if it cannot be one.
        """
        self._open = open_url
        self._opened: OrderedDict[str, LiveUpstream] = OrderedDict()
        self.upstreams: Mapping[str, Upstream] = {}
        """Those of the configuration; a target that is a URL is here under that URL."""
        self.attempt_hooks: Mapping[str, tuple[Hook, ...]] = {}
        """By upstream, the attempt hooks of its own bindings."""
        self.own_cookies: CookieFilter | None = None
        """Removes the cookies that only plugins of this configuration read; None if there are none."""
        self.name_via(b"1.1 gateway")
        self.is_closed = False
        self.context = Context()
        """The context in which this scope counts; exchanges begin with copies of it."""
        self.context.run(current_scope.set, self)

    def name_via(self, entry: bytes) -> None:
        """Take the gateway's entry of Via; empty if there is none."""
        self.via = entry
        self.via_line = b"\r\nVia: " + entry if entry else b""
        """The field as a block, for responses that are passed on (RFC 9110 section 7.6.3)."""

    def find(self, name: str) -> Upstream:
        """Return the upstream with a name or URL.

        :raises UpstreamError: 503, there is none.
        """
        found = self.upstreams.get(name)
        if found is not None:
            return found
        live = self._opened.get(name)
        if live is not None:
            self._opened.move_to_end(name)
            return live.upstream
        if not is_url(name):
            raise UpstreamError(f"there is no upstream {name!r}", status=503, reason=UNKNOWN_UPSTREAM)
        try:
            live = self._opened[name] = self._open(name)
        except (ValueError, OSError) as error:
            text = f"{name!r} cannot be an upstream: {error}"
            raise UpstreamError(text, status=503, reason=UNKNOWN_UPSTREAM) from error
        if len(self._opened) > MOST_URLS:
            # Requests in progress to it go on; only its idle connections are closed.
            _, oldest = self._opened.popitem(last=False)
            spawn(oldest.aclose(), name="close an upstream that was named by URL")
        return live.upstream

    async def aclose(self) -> None:
        """Close what was opened for URLs. From now on the snapshot in force counts."""
        self.is_closed = True
        opened, self._opened = self._opened, OrderedDict()
        # The context of a stream that goes on for hours refers to this: let the tables of the configuration go, and
        # leave no cycle to the garbage collector.
        self.upstreams, self.attempt_hooks = {}, {}
        self._open, self.context = _refuse, Context()
        for live in opened.values():
            await live.aclose()


def _refuse(url: str) -> LiveUpstream:
    raise ValueError(f"{url!r}: its configuration was closed")


current_scope: Final[ContextVar[UpstreamScope | None]] = ContextVar("gateway upstreams", default=None)
