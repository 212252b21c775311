"""The plugin: changes JSON on its way to the upstream and back."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Final

from gateway_plugin_sdk import (
    BadBodyError,
    BodyFilter,
    BodyTooLargeError,
    ConfigFinding,
    Headers,
    Plugin,
    PluginContext,
    Request,
    Response,
    UpstreamError,
    hookimpl,
)

from gateway_plugin_transform.changes import Change, ChangeError, TooLargeError
from gateway_plugin_transform.config import SHORT_BODY, SHORT_OPERATIONS, TransformConfig
from gateway_plugin_transform.lines import TYPES, Lines

FORM: Final = "application/x-www-form-urlencoded"
_REASON: Final = "upstream.bad-response"


class Transform(Plugin[TransformConfig]):
    """Changes JSON bodies of requests and responses."""

    name = "transform"
    config_model = TransformConfig

    def __init__(self, config: TransformConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        bounds = config.max_body_bytes, config.max_operations
        self._request = None if config.request is None else Change(config.request, *bounds)
        self._response = None if config.response is None else Change(config.response, *bounds)
        statuses = config.response.statuses if config.response is not None else ()
        self._statuses = frozenset(statuses or range(200, 300))
        self.needs = frozenset({"plain-responses"} if config.response is not None else ())
        self._failures = self.metrics.counter(
            "gateway_transform_failures",
            "Bodies that cannot be changed.",
            ("route", "binding", "direction"),
        )

    @classmethod
    def check_config(cls, config: TransformConfig) -> Iterable[ConfigFinding]:
        """Warn of bounds with which a body may hold up other requests."""
        for key, value, most in (
            ("max_body_bytes", config.max_body_bytes, SHORT_BODY),
            ("max_operations", config.max_operations, SHORT_OPERATIONS),
        ):
            if value > most:
                text = f"more than {most} may keep a worker from all other requests for more than 10 ms"
                yield ConfigFinding((key,), text, code="long-pauses", severity="warning")

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Awaitable[Response | None] | Response | None:
        """Change the body of a request."""
        if self._response is not None:
            request.headers["Accept-Encoding"] = "identity"  # what is compressed cannot be changed, nor can parts be
            request.headers.remove("Range")
            request.headers.remove("If-Range")
        change, config = self._request, self.config.request
        if change is None or config is None or not request.has_body:
            return None
        kind = _kind_of(request.headers)
        if kind in TYPES:
            limit = self.config.max_body_bytes
            request.add_body_filter(
                lambda: Lines(change, limit, lambda why, long: self._bad(request, why, too_long=long))
            )
            return None
        if is_json(kind):
            return self._read(request, change, is_form=False)
        if kind == FORM and config.from_form:
            return self._read(request, change, is_form=True)
        return self._other(request) if config.other_types == "refuse" else None

    async def _other(self, request: Request) -> Response | None:
        try:
            await request.read(0)
        except BodyTooLargeError:
            return Response.problem(415, "the body's media type or encoding is not one that is taken here")
        return None

    def _read(self, request: Request, change: Change, *, is_form: bool) -> Awaitable[Response | None] | Response | None:
        data = request.read_nowait(self.config.max_body_bytes)
        if data is None:
            return self._awaited(request, change, is_form=is_form)
        return self._changed(request, change, data, is_form=is_form)

    async def _awaited(self, request: Request, change: Change, *, is_form: bool) -> Response | None:
        data = await request.read(self.config.max_body_bytes)
        return self._changed(request, change, data, is_form=is_form)

    def _changed(self, request: Request, change: Change, data: bytes, *, is_form: bool) -> Response | None:
        if not data:
            return None
        try:
            made = change.form(data) if is_form else change.json(data)
        except ChangeError as error:
            self._count(request, "request")
            return Response.problem(413 if isinstance(error, TooLargeError) else 400, str(error))
        request.set_body(made)
        if is_form:
            request.headers["Content-Type"] = "application/json"
        return None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Awaitable[Response | None] | None:
        """Change the body of an upstream's response."""
        change = self._response
        if change is None or not response.from_upstream or response.status not in self._statuses:
            return None
        kind = _kind_of(response.headers, compressed="application/json")
        if kind in TYPES:
            limit = self.config.max_body_bytes
            response.add_body_filter(lambda: Lines(change, limit, lambda why, _: self._cut(request, why)))
        elif is_json(kind):
            if response.has_body:
                return self._changed_response(request, response, change)
            response.add_body_filter(BodyFilter)  # the head of HEAD and 304 is that of a changed body
        return None

    async def _changed_response(self, request: Request, response: Response, change: Change) -> Response | None:
        try:
            data = await response.read(self.config.max_body_bytes)
            if data:
                response.set_body(change.json(data))
        except (ChangeError, BodyTooLargeError) as error:
            self._count(request, "response")
            self.log.warning("request %s: the response cannot be changed: %s", request.request_id, error)
            return Response.problem(502, "the upstream's response cannot be changed")
        return None

    def _bad(self, request: Request, why: str, *, too_long: bool) -> Exception:
        self._count(request, "request")
        return BadBodyError(why, 413 if too_long else 400)

    def _cut(self, request: Request, why: str) -> Exception:
        self._count(request, "response")
        return UpstreamError(f"the response cannot be changed: {why}", status=502, reason=_REASON)

    def _count(self, request: Request, direction: str) -> None:
        route = request.route.id if request.route is not None else self.context.route or ""
        self._failures.labels(route, self.context.binding, direction).inc()


def is_json(kind: str) -> bool:
    """Return whether a media type is JSON."""
    return kind == "application/json" or kind.endswith("+json")


def _kind_of(headers: Headers, compressed: str = "") -> str:
    """Return the media type of a body, without parameters; another one if it is compressed."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        return compressed
    return headers.get("content-type", "").partition(";")[0].strip().lower()
