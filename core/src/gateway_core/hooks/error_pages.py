"""Pages in the place of error responses: a hook that comes before all others of the response phase.

So the phase runs once, over what is sent. The hook is no plugin's: it belongs to no binding of the configuration, and
nothing of it exists where there are no pages.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.config import ErrorPageConfig
from gateway_core.errors import UpstreamError
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.chain import Chain, Hook
from gateway_core.hooks.failure_log import Faults
from gateway_core.hooks.fetch import Fetcher, FetchRequest
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.messages import Request, Response
from gateway_core.messages.body import TooLarge, read_whole
from gateway_core.messages.headers import Headers
from gateway_core.metrics import Metrics

LARGEST_PAGE: Final = 1 << 20
"""Bytes of a page that is requested."""

_NAME: Final = "error-pages"
_KEPT: Final = ("WWW-Authenticate", "Allow", "Retry-After")
_OF_PAGES: Final = ("Content-Type", "Content-Language", "Content-Encoding")
_NOT_SENT: Final = (
    "host", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
    "content-type", "content-length", "content-encoding", "content-language", "content-location", "content-range",
    "content-md5", "digest", "content-digest", "repr-digest", "transfer-encoding", "trailer", "te", "expect",
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "http2-settings", "upgrade",
)  # fmt: skip
"""Fields that a page is not asked for with: conditional, range and body ones, and those of a connection."""


class ErrorPages(Plugin[None]):
    """Replaces error responses."""

    name = _NAME
    default_on_error = "continue"
    responses = "all"

    def __init__(
        self, context: PluginContext, pages: Sequence[ErrorPageConfig], targets: Mapping[str, str], fetch: Fetcher
    ) -> None:
        """Take the pages, the first that fits first.

        :param targets: where pages without a target are requested from, by the id of the route.
        """
        super().__init__(None, context)
        self._pages = tuple(pages)
        self._targets = targets
        self._fetch = fetch

    def replace(self, request: Request, response: Response) -> Any:
        """Return what is sent instead of a response; None, or what gives None, if it stays."""
        page = self._page_for(request, response)
        if page is None or page.path is None:
            return None if page is None else _written(page, response)
        target = page.target or ("" if request.route is None else self._targets.get(request.route.id, ""))
        return self._requested(page, page.path, target, request, response) if target else None

    def replace_at_head(self, request: Request, response: Response) -> Response | None:
        """Do the same for a request that was refused at its head, which is sent nowhere."""
        page = self._page_for(request, response)
        return None if page is None or page.path is not None else _written(page, response)

    def _page_for(self, request: Request, response: Response) -> ErrorPageConfig | None:
        status = response.status
        source = response.produced_by if response.produced_by in {"gateway", "upstream"} else "plugin"
        if status < 400 or (source == "gateway" and response.failure is None):
            return None  # What `respond` and `redirect` give is no failure of the gateway, whatever its status.
        for page in self._pages:
            if source in page.from_ and any(status in statuses for statuses in page.statuses):
                content_type = request.headers.get("content-type", "").lower()
                return None if content_type.startswith("application/grpc") else page
        return None

    async def _requested(
        self, page: ErrorPageConfig, path: str, target: str, request: Request, response: Response
    ) -> Response | None:
        """Return a page that another request gets; None if it fails."""
        fields = Headers([(name, value) for name, value in request.headers.items() if name.lower() not in _NOT_SENT])
        method = "HEAD" if request.method == "HEAD" else "GET"
        try:
            call = self._fetch(
                FetchRequest(target, method, path.replace(":status", str(response.status)), fields, b"", None)
            )
            try:
                head = await call.response()
                if not 200 <= head.status <= 299:
                    return None
                body: bytes | TooLarge | AsyncIterator[bytes] = await read_whole(call, LARGEST_PAGE, "response")
            finally:
                await call.aclose()  # also if this is cancelled, as when the client has left
        except UpstreamError:
            return None
        if isinstance(body, TooLarge):
            return None
        names: Sequence[str] = _OF_PAGES
        if method == "HEAD":
            # Its length is that of the page that GET would get, not of what came.
            body, names = _unread(), (*_OF_PAGES, "Content-Length")
        headers = [(name, value) for name in names for value in head.headers.get_all(name)]
        return _made(page, response, body, headers)


def _written(page: ErrorPageConfig, response: Response) -> Response | None:
    if page.body is None:
        return None
    return _made(page, response, page.body.encode(), [("Content-Type", page.content_type)])


async def _unread() -> AsyncIterator[bytes]:
    """Stand in for the body of a page of which only the head was requested."""
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _made(
    page: ErrorPageConfig, response: Response, body: bytes | AsyncIterator[bytes], headers: list[tuple[str, str]]
) -> Response:
    kept = [(name, value) for name in _KEPT for value in response.headers.get_all(name)]
    made = Response(page.status or response.status, body, [*headers, *kept])
    made.produced_by, made.failure = "gateway", response.failure
    return made


class ErrorPageHooks:
    """Puts the pages of one configuration into its chains."""

    def __init__(self, wide: Sequence[ErrorPageConfig], fetch: Fetcher, clock: Clock, metrics: Metrics) -> None:
        """Take the gateway-wide pages."""
        self._wide = wide
        self._fetch = fetch
        self._context = PluginContext(_NAME, None, clock, logging.getLogger("gateway.plugins.error-pages"), metrics)
        self.targets: dict[str, str] = {}
        """Where pages without a target are requested from, by the id of the route."""

    def put_into(self, chain: Chain, own: Sequence[ErrorPageConfig] = ()) -> Chain:
        """Have a chain begin its response phase with the pages; it is changed and returned.

        :param own: the route's.
        """
        pages = (*own, *self._wide)
        if not pages:
            return chain
        instance = ErrorPages(self._context, pages, self.targets, self._fetch)
        binding = Binding(_NAME, _NAME, "", None, "continue", "continue", None, False, instance, Faults())
        for each in chain.variants:
            each.response = (Hook(instance.replace, binding, "gateway_response", is_async=True), *each.response)
        at_head = Hook(instance.replace_at_head, binding, "gateway_response")
        chain.response_to_all = (at_head, *chain.response_to_all)
        return chain
