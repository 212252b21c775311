"""The plugin: responds with what several upstreams have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, Final

from gateway_plugin_sdk import ConfigFinding, Plugin, PluginContext, Request, Response, hookimpl

from gateway_plugin_aggregate.caching import cache_control_of
from gateway_plugin_aggregate.calls import Call, CallFailedError, Part, json_bytes
from gateway_plugin_aggregate.config import AggregateConfig
from gateway_plugin_aggregate.plan import client_placeholders, find_problems, make_plan
from gateway_plugin_aggregate.running import Run
from gateway_plugin_aggregate.templates import Placeholder, ValueRefusedError, read_client_value, segment_of

COMPLETE: Final = "X-Aggregate-Complete"
_REFUSAL: Final = "aggregate.refusal"
_FAILED: Final = "aggregate.failed"
_ALLOWED: Final = "GET, POST, PUT, PATCH, DELETE"
_LARGE: Final = 4096
"""Bytes of a response from which on other tasks run between its changes and those of the next one."""
_OF_THE_CALLER: Final = frozenset({"identity", "claim", "client_ip"})
_KINDS: Final = {
    "param": "the path's parameter",
    "query": "the query's parameter",
    "header": "the field",
    "cookie": "the cookie",
}


class Aggregate(Plugin[AggregateConfig]):
    """Makes one response of the responses to several calls.

    What failed is in ``request.state["aggregate.failed"]``, as texts such as ``reviews:timeout``; where there is no
    response without it, ``request.state["aggregate.refusal"]`` is the reason.
    """

    name = "aggregate"
    config_model = AggregateConfig
    provides = frozenset({"response"})

    def __init__(self, config: AggregateConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._calls = {call.name: Call(call) for call in config.calls}
        self._plan = make_plan(config.calls)
        placed = list(client_placeholders(config.calls))
        self._client_values = tuple(dict.fromkeys(each for _, _, each in placed))
        self._in_paths = tuple(dict.fromkeys(each for _, place, each in placed if place[0] == "path"))
        sources = {each.source for each in self._client_values}
        if sources & {"identity", "claim"}:
            self.needs = frozenset({"identity"})
        self._passed_query = frozenset(name for call in config.calls for name in call.client_query)
        self._reads_query = bool(self._passed_query) or "query" in sources
        self._changes_something = any(call.is_unsafe for call in config.calls)
        self._takes_body = any(call.client_body for call in config.calls)
        self._restrictions = {"private"} if sources & _OF_THE_CALLER else set()
        if self._changes_something:
            self._restrictions.add("no-store")
        self._static = [(json_bytes(name), json_bytes(value)) for name, value in config.static.items()]
        self._counts = self.metrics.counter(
            "gateway_aggregate_calls", "Calls, by what became of them.", ("route", "binding", "call", "outcome")
        )
        self._responses = self.metrics.counter(
            "gateway_aggregate_responses", "Responses, by what became of them.", ("route", "binding", "outcome")
        )
        if context.route is not None:  # from 0 on, so that the first failure is an increase
            for outcome in ("failed", "partial"):
                self._responses.labels(context.route, context.binding, outcome)

    @classmethod
    def check_config(cls, config: AggregateConfig) -> Iterable[ConfigFinding]:
        """Find what the calls cannot mean together."""
        return find_problems(config)

    @classmethod
    def params_of(cls, config: AggregateConfig) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Return the parameters in templates that have no default."""
        for index, place, each in client_placeholders(config.calls):
            if each.source == "param" and each.default is None:
                yield ("calls", index, *place), each.name

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response]:
        """Make the calls, and respond."""
        if self._changes_something and request.method in {"HEAD", "OPTIONS"}:
            return Response.problem(405, "this method must not change anything", headers={"Allow": _ALLOWED})
        pairs = request.query if self._reads_query else ()
        query = dict(reversed(pairs))
        values = {each: read_client_value(request, query, each) for each in self._client_values}
        for each in self._in_paths:
            value = each.default if values[each] is None else values[each]
            try:
                segment_of(value)
            except ValueRefusedError:
                return self._refuse(request, each, is_missing=value is None)
        passed = [pair for pair in pairs if pair[0] in self._passed_query]
        return self._respond(request, values, passed)

    def _refuse(self, request: Request, placeholder: Placeholder, *, is_missing: bool) -> Response:
        kind = _KINDS.get(placeholder.source)
        request.state[_REFUSAL] = "value"
        self._count(request, "refused")
        if kind is None:
            return Response.problem(403, "who is calling has no value that this needs")
        what = "is missing" if is_missing else "cannot be in a path"
        return Response.problem(400, f"{kind} {placeholder.name} {what}")

    async def _respond(
        self, request: Request, values: dict[Placeholder, Any], query: list[tuple[str, str]]
    ) -> Response:
        if self._changes_something:
            # In shadow mode this ends the hook before anything is changed; elsewhere the copy is dropped.
            with suppress(RuntimeError):
                request.detach()
        body = await request.read(self.config.max_client_body_bytes) if self._takes_body else b""
        run = Run(self.config, self._calls, self._plan, request, values, query, body)
        try:
            await run.finish(self.upstreams, self.clock)
        finally:
            self._note(request, run)
        parts = {name: each for name, each in run.outcomes.items() if isinstance(each, Part)}
        failed = [name for name in self._calls if isinstance(run.outcomes.get(name), CallFailedError)]
        if run.lost is not None or not parts:
            return self._lost(request, run, failed)
        self._count(request, "partial" if failed else "complete")
        response = Response(self.config.status, await self._assembled(parts))
        self._write_head(response, parts, is_complete=not failed)
        return response

    def _lost(self, request: Request, run: Run, failed: list[str]) -> Response:
        self._count(request, "failed")
        error = run.lost
        if error is None:
            error = next(each for each in run.outcomes.values() if isinstance(each, CallFailedError))
        request.state[_REFUSAL] = error.reason
        detail = "a part of the response is missing without which there is none"
        fields = {"Cache-Control": "no-store", COMPLETE: "false"}
        return Response.problem(error.status, detail, headers=fields, failed=failed)

    async def _assembled(self, parts: dict[str, Part]) -> bytes:
        """Return the body: members of calls in their order, those of a later call in place of an earlier one's."""
        values: list[tuple[str | None, Any, int]] = []
        for name, call in self._calls.items():
            config = call.config
            part = parts.get(name)
            if not config.include or (part is None and not config.has_default):
                continue
            if part is None:
                values.append((config.group, config.default, 0))
            else:
                values.append((config.group, await call.changed(part), part.size))
        taken = set(self.config.static)
        pieces = [b"%b:%b" % each for each in self._static]
        for group, value, size in reversed(values):
            if group is not None:
                if group not in taken:
                    taken.add(group)
                    pieces.append(b"%b:%b" % (json_bytes(group), json_bytes(value)))
            else:
                members = {key: value[key] for key in value if key not in taken} if taken else value
                if members:
                    taken.update(members)
                    pieces.append(json_bytes(members)[1:-1])
            if size > _LARGE:
                await asyncio.sleep(0)
        return b"{%b}" % b",".join(reversed(pieces))

    def _write_head(self, response: Response, parts: dict[str, Part], *, is_complete: bool) -> None:
        headers = response.headers
        headers["Content-Type"] = "application/json"
        headers[COMPLETE] = "true" if is_complete else "false"
        restrictions = set(self._restrictions)
        if not is_complete:
            restrictions.add("no-store")
        vary: set[str] = set()
        for name, part in parts.items():
            vary |= self._calls[name].vary(part)
            for field, value in part.fields:
                headers.add(field, value)
                if field.lower() == "set-cookie":
                    restrictions |= {"private", "no-store"}
        cache_control = cache_control_of([part.cacheability for part in parts.values()], restrictions)
        if cache_control is not None:
            headers["Cache-Control"] = cache_control
        if vary:
            headers.add_vary("*" if "*" in vary else ", ".join(sorted(vary)))

    def _note(self, request: Request, run: Run) -> None:
        route = self._route(request)
        failed = []
        for name in self._calls:
            outcome = run.outcomes.get(name)
            if outcome is None:
                shown = "cancelled"
            elif isinstance(outcome, Part):
                shown = "succeeded"
            else:
                shown = outcome.reason
                failed.append(f"{name}:{shown}")
            self._counts.labels(route, self.context.binding, name, shown).inc()
        if failed:
            request.state[_FAILED] = failed

    def _count(self, request: Request, outcome: str) -> None:
        self._responses.labels(self._route(request), self.context.binding, outcome).inc()

    def _route(self, request: Request) -> str:
        return request.route.id if request.route is not None else self.context.route or ""
