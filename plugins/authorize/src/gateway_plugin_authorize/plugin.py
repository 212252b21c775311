"""The plugin: refuses requests that their callers may not send."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Final

from gateway_plugin_sdk import ConfigFinding, Identity, Plugin, PluginContext, Request, Response, hookimpl

from gateway_plugin_authorize.config import AuthorizeConfig, Rule
from gateway_plugin_authorize.consumers import Consumer, Consumers, ConsumersError, read_consumers
from gateway_plugin_authorize.opa import OpaError, decide, input_of
from gateway_plugin_authorize.rules import Verdict, asks_for_identity, compile_rule, facts_of

DENIED: Final = "rule-denied"
UNKNOWN: Final = "rule-unknown"
NOT_IDENTIFIED: Final = "not-identified"
POLICY_DENIED: Final = "policy-denied"
POLICY_UNDEFINED: Final = "policy-undefined"
POLICY_UNAVAILABLE: Final = "policy-unavailable"
_PAUSE: Final = 1.0
"""Seconds between two log lines of one reason."""


class Authorize(Plugin[AuthorizeConfig]):
    """Decides who may do what, by a tree of rules over the caller and the request.

    The reason of a refusal is in ``request.state["authorize.refusal"]``, in the log, and in
    ``gateway_authorize_refusals_total``; the client does not get it. ``request.state["authorize.consumer"]`` is the
    consumer's name.
    """

    name = "authorize"
    config_model = AuthorizeConfig
    access_control = True

    def __init__(self, config: AuthorizeConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        consumers = None if config.consumers is None else read_consumers(config.consumers.read_text())
        self._consumers = consumers
        facts = facts_of(config, None if consumers is None else consumers.find)
        self._rule = None if config.rule is None else compile_rule(config.rule, facts)
        self._shadow_rule = None if config.shadow_rule is None else compile_rule(config.shadow_rule, facts)
        rules = [rule for rule in (config.rule, config.shadow_rule) if rule is not None]
        if config.rule is not None and asks_for_identity(config.rule):
            self.needs = frozenset({"identity"})
        self._asks_for_identity = any(map(asks_for_identity, rules))
        self._header = config.consumer_header
        if config.consumer_header is not None:
            self.reserved_headers = frozenset({config.consumer_header})
        self._is_plain = consumers is None and config.shadow_rule is None and config.opa is None
        labels = ("route", "binding", "reason")
        self._refusals = self.metrics.counter(
            "gateway_authorize_refusals", "Requests that authorize refused, or would in shadow mode.", labels
        )
        if context.route is not None:  # from 0 on, so that the first failure is an increase
            self._refusals.labels(context.route, context.binding, POLICY_UNAVAILABLE)
        self._shadow_refusals = self.metrics.counter(
            "gateway_authorize_shadow_refusals", "Requests that a shadow_rule would refuse.", labels
        )
        self._refusal = Response.problem(config.status, config.message, headers={"Cache-Control": "no-store"})
        self._unavailable = Response.problem(
            503, "this request cannot be decided at the moment", headers={"Retry-After": "1"}
        )
        self._logged: dict[str, tuple[float, int]] = {}

    @classmethod
    def check_config(cls, config: AuthorizeConfig) -> Iterable[ConfigFinding]:
        """Read the file of consumers, and find rules that name none of them."""
        consumers: Consumers | None = None
        if config.consumers is not None:
            try:
                consumers = read_consumers(config.consumers.read_text())
            except (ConsumersError, UnicodeDecodeError) as error:
                reason = error if isinstance(error, ConsumersError) else "it is no text in UTF-8"
                yield ConfigFinding(("consumers",), f"{config.consumers}: {reason}", code="bad-file")
                return
        for key in ("rule", "shadow_rule"):
            rule: Rule | None = getattr(config, key)
            if rule is not None:
                yield from _rule_findings((key,), rule, consumers)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Refuse a request unless the rule holds, and the policy allows it."""
        if self._rule is not None:
            verdict = self._rule(request)
            if verdict is not True:
                return self._refuse(request, verdict)
        return None if self._is_plain else self._go_on(request)

    def _go_on(self, request: Request) -> Response | Awaitable[Response | None] | None:
        if self._shadow_rule is not None and (verdict := self._shadow_rule(request)) is not True:
            reason = _reason(request, verdict, self._asks_for_identity)
            self._shadow_refusals.labels(_route_of(request, self.context.route), self.context.binding, reason).inc()
            request.state["authorize.shadow"] = reason
            self._log(request, f"shadow_rule would refuse: {reason}")
        consumer = self._consumer_of(request.identity)
        if consumer is not None:
            request.state["authorize.consumer"] = consumer.name
            if self._header is not None:
                request.headers[self._header] = consumer.name
        return None if self.config.opa is None else self._ask(request, consumer)

    def _consumer_of(self, identity: Identity | None) -> Consumer | None:
        return None if identity is None or self._consumers is None else self._consumers.find(identity)

    async def _ask(self, request: Request, consumer: Consumer | None) -> Response | None:
        assert self.config.opa is not None, "there is a policy"
        try:
            decision = await decide(self.upstreams, self.config.opa, input_of(request, consumer, self.config.opa))
        except OpaError as error:
            self._note(request, POLICY_UNAVAILABLE, f" ({error})")
            return self._unavailable
        if decision is True:
            return None
        self._note(request, POLICY_UNDEFINED if decision is None else POLICY_DENIED)
        return self._refusal

    def _refuse(self, request: Request, verdict: Verdict) -> Response:
        self._note(request, _reason(request, verdict, self._asks_for_identity))
        return self._refusal

    def _note(self, request: Request, reason: str, detail: str = "") -> None:
        request.state["authorize.refusal"] = reason
        self._refusals.labels(_route_of(request, self.context.route), self.context.binding, reason).inc()
        self._log(request, f"refused: {reason}", detail)

    def _log(self, request: Request, what: str, detail: str = "") -> None:
        """Log the first of each kind, then one a second."""
        now = self.clock.monotonic()
        last, left_out = self._logged.get(what, (now - _PAUSE, 0))
        if now - last < _PAUSE:
            self._logged[what] = last, left_out + 1
            return
        self._logged[what] = now, 0
        more = f", and {left_out} others for this reason before" if left_out else ""
        route = _route_of(request, self.context.route)
        place = f"route {route!r}" if route else "the gateway"
        self.log.info(
            "%s of %s, request %s %s%s%s", self.context.binding, place, request.request_id, what, detail, more
        )


def _reason(request: Request, verdict: Verdict, asks_for_identity: bool) -> str:
    if verdict is not None:
        return DENIED
    return NOT_IDENTIFIED if request.identity is None and asks_for_identity else UNKNOWN


def _route_of(request: Request, route: str | None) -> str:
    return request.route.id if request.route is not None else route or ""


def _rule_findings(path: tuple[str | int, ...], rule: Rule, consumers: Consumers | None) -> Iterable[ConfigFinding]:
    for index, name in enumerate(rule.consumers or ()):
        if consumers is None:
            yield ConfigFinding((*path, "consumers"), "needs a file of consumers: name it", code="no-consumers")
            break
        if name not in consumers.names:
            message = f"{name!r} is not in the file of consumers: correct one of both"
            yield ConfigFinding((*path, "consumers", index), message, code="unknown-consumer")
    for key, rules in (("any", rule.any or ()), ("all", rule.all or ())):
        for index, each in enumerate(rules):
            yield from _rule_findings((*path, key, index), each, consumers)
    if rule.not_ is not None:
        yield from _rule_findings((*path, "not"), rule.not_, consumers)
