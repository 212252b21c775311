"""The plugin: has an HTTP service decide about each request."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from gateway_plugin_sdk import (
    BodyTooLargeError,
    FieldNames,
    Plugin,
    PluginContext,
    Request,
    Response,
    UpstreamError,
    hookimpl,
)
from gateway_plugin_sdk import command as gateway_command

from gateway_plugin_forward_auth.asking import Asked, ask, sign_in_url
from gateway_plugin_forward_auth.config import ForwardAuthConfig
from gateway_plugin_forward_auth.decisions import LARGEST, DecisionCache, Passed, passed, refused

_STATE: Final = "forward-auth.client"
REFUSED: Final = "refused"
UNAVAILABLE: Final = "unavailable"
SIGN_IN: Final = "sign-in"


class UndecidedError(Exception):
    """The service failed, so that there is no decision."""


class ForwardAuth(Plugin[ForwardAuthConfig]):
    """Lets requests pass that a service lets pass, and takes over who the caller is.

    The reason of a refusal is in ``request.state["forward-auth.refusal"]``: ``refused``, ``sign-in`` or
    ``unavailable``.
    """

    name = "forward-auth"
    config_model = ForwardAuthConfig
    provides = frozenset({"identity"})
    access_control = True

    def __init__(self, config: ForwardAuthConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        names = {config.identity.subject, *config.upstream_headers, *config.identity.claims.values()}
        if config.identity.groups is not None:
            names.add(config.identity.groups)
        self.reserved_headers = frozenset(names)
        self._reserved = FieldNames(sorted(names))
        self._cache = None if config.cache is None else DecisionCache(config.cache.max_entries)
        self._decisions = self.metrics.counter(
            "gateway_forward_auth_decisions", "Decisions of the service.", ("route", "binding", "decision")
        )
        if context.route is not None:  # from 0 on, so that the first failure is an increase
            self._decisions.labels(context.route, context.binding, UNAVAILABLE)
        self._log_after = 0.0

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Ask the service, and let the request pass or respond in the upstream's place."""
        if self.config.body is not None:
            return self._read_and_ask(request, self.config.body.max_size)
        return self._look_up(request, b"")

    async def _read_and_ask(self, request: Request, max_size: int) -> Response | None:
        found = self._look_up(request, await request.read(max_size))
        return None if found is None else await found

    def _look_up(self, request: Request, body: bytes) -> Awaitable[Response | None] | None:
        """Let a request pass by a decision that is kept, else return what asks the service."""
        asked, cache = ask(request, self.config, body), self._cache
        if cache is None:
            return self._ask(request, asked, b"")
        key = asked.key
        decision = cache.get(key, self.clock.monotonic())
        if decision is None:
            return self._ask(request, asked, key)
        self._admit(request, decision)
        return None

    async def _ask(self, request: Request, asked: Asked, key: bytes) -> Response | None:
        try:
            decision = await self._decide(asked)
        except UpstreamError as error:
            return self._unavailable(request, f"no response ({error.reason})")
        except UndecidedError as error:
            return self._unavailable(request, str(error))
        if isinstance(decision, Response):
            return self._refuse(request, decision)
        if self._cache is not None and decision.lifetime > 0:
            self._cache.put(key, decision, self.clock.monotonic())
        self._admit(request, decision)
        return None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Give the client what the service sent for it."""
        fields = request.state.get(_STATE)
        if fields is None:
            return
        for name, value in fields:
            response.headers.add(name, value)
        if any(name == "Set-Cookie" for name, _ in fields):
            response.headers["Cache-Control"] = "private, no-store"  # a shared cache may keep cookies as well

    @gateway_command(role="operator")
    def forget(self) -> int:
        """Forget the decisions that are kept; return how many there were."""
        count = 0 if self._cache is None else len(self._cache)
        if self._cache is not None:
            self._cache.clear()
        return count

    async def _decide(self, asked: Asked) -> Passed | Response:
        """Ask the service.

        :raises UpstreamError: it does not respond.
        :raises UndecidedError: it failed.
        """
        fetch, config = self.upstreams.fetch, self.config
        async with fetch(
            config.target, asked.method, asked.path, asked.headers, asked.body, timeout=config.timeout
        ) as response:
            if 200 <= response.status < 300:
                return passed(response.headers, config)
            if response.status >= 500:
                raise UndecidedError(f"status {response.status}")
            try:
                body = await response.read(LARGEST)
            except BodyTooLargeError:
                body = b""
                for name in ("content-type", "content-encoding"):
                    response.headers.remove(name)
            return refused(response.status, response.headers, body)

    def _admit(self, request: Request, decision: Passed) -> None:
        self._count(request, "passed")
        request.identity = decision.identity
        # Once more: an earlier hook may have copied what the client sent under another name.
        request.headers.remove_any(self._reserved)
        for name, value in decision.upstream:
            request.headers.add(name, value)
        if decision.client:
            request.state[_STATE] = decision.client

    def _refuse(self, request: Request, response: Response) -> Response:
        template = self.config.sign_in
        if response.status == 401 and template is not None and _is_navigation(request):
            self._note(request, SIGN_IN)
            fields = [("Cache-Control", "no-store")]
            fields += [("Set-Cookie", value) for value in response.headers.get_all("set-cookie")]
            return Response.redirect(sign_in_url(template, request), headers=fields)
        self._note(request, REFUSED)
        return response

    def _unavailable(self, request: Request, why: str) -> Response:
        self._note(request, UNAVAILABLE)
        now = self.clock.monotonic()
        if now >= self._log_after:
            self._log_after = now + 1
            self.log.warning("%s cannot ask %s: %s", self.context.binding, self.config.target, why)
        return Response.problem(503, "this request cannot be checked at the moment", headers={"Retry-After": "1"})

    def _note(self, request: Request, reason: str) -> None:
        request.state["forward-auth.refusal"] = reason
        self._count(request, reason)

    def _count(self, request: Request, decision: str) -> None:
        route = request.route.id if request.route is not None else self.context.route or ""
        self._decisions.labels(route, self.context.binding, decision).inc()


def _is_navigation(request: Request) -> bool:
    """Return whether a browser opens a page, and no program or script asks (Fetch Metadata, else Accept)."""
    headers = request.headers
    if request.method not in {"GET", "HEAD"} or request.upgrade is not None or "x-requested-with" in headers:
        return False
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in (headers.joined("accept") or "")
