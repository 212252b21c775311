"""The auth plugin."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway_plugin_sdk import ConfigFinding, Identity, Plugin, PluginContext, Request, Response, hookimpl
from gateway_tokens.forwarding import ReservedHeaders
from gateway_tokens.refusal_log import RefusalLog

from gateway_plugin_auth.config import AuthConfig
from gateway_plugin_auth.config.possession import PossessionOptions
from gateway_plugin_auth.config.requirement import names_in
from gateway_plugin_auth.findings import findings
from gateway_plugin_auth.outcomes import Needs, Verified
from gateway_plugin_auth.possession import NONCE, challenge_parameters, hides
from gateway_plugin_auth.preflight import is_preflight
from gateway_plugin_auth.providers import make_provider
from gateway_plugin_auth.refusals import UNAVAILABLE, Refusal, response_to
from gateway_plugin_auth.requirements import Judgement, compile_requirement
from gateway_plugin_auth.resource_metadata import ResourceMetadata

if TYPE_CHECKING:
    import click

_EARLY: Final = frozenset({"not-yet-valid", "issued-in-the-future"})
"""Reasons for which a token of a known issuer is refused that say that clocks differ."""


class Auth(Plugin[AuthConfig]):
    """Let a request through if its caller is known and allowed: by JSON Web Token, API key, or name and password.

    Sets ``request.identity``. If ``require`` asks for several callers at once, the first is the
    identity, and ``request.state["auth.identities"]`` has all. What is refused gets 401 or 403 without saying
    why; the reason is in ``request.state["auth.refusal"]``, with what the token said in
    ``request.state["auth.refusal_detail"]``, in the log, and in ``gateway_auth_refusals_total``.
    """

    name = "auth"
    config_model = AuthConfig
    default_on_error = "deny"
    provides = frozenset({"identity"})

    def __init__(self, config: AuthConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        configs, requirement = config.provider_configs(), config.requirement()
        self._providers = {name: make_provider(configs[name], context) for name in dict.fromkeys(names_in(requirement))}
        self._judge = compile_requirement(requirement, self._providers)
        # Most bindings have one provider; it is asked without a tree around it.
        self._check = self._providers[requirement].check if isinstance(requirement, str) else None
        everyone = self._providers.values()
        self._challenges = tuple(dict.fromkeys(scheme for provider in everyone for scheme in provider.challenges))
        metadata = config.resource_metadata
        self._metadata = ResourceMetadata(metadata, config) if metadata is not None else None
        used = (configs[name] for name in self._providers)
        tokens = [each for each in used if isinstance(each, PossessionOptions)]
        self._parameters = challenge_parameters(tokens, self._metadata.url if self._metadata is not None else "")
        self.idle_hooks = frozenset(
            ([] if self._metadata is not None else ["gateway_route_match"])
            + ([] if any(each.dpop and each.dpop.nonce for each in tokens) else ["gateway_response"])
        )
        names = [name for provider in everyone for name in provider.header_names]
        self._reserved = ReservedHeaders(names) if names else None
        self.reserved_headers = frozenset(names)
        sources = [source for provider in everyone for source in provider.sources]
        proof = ["DPoP"] if any(each.dpop for each in tokens) else []
        self.credential_headers = frozenset([*(each.name for each in sources if each.place == "header"), *proof])
        self.credential_parameters = frozenset(each.name for each in sources if each.place == "query")
        self._hides = tuple(self._providers[name].hide for name in self._providers if hides(configs[name]))
        self._changes_head = bool(names or self._hides)
        self._anonymous = Identity(config.anonymous, "anonymous") if config.anonymous is not None else None
        self._refusals = self.metrics.local_counter(
            "gateway_auth_refusals_total", "Requests that auth refused.", ["binding", "route", "reason"]
        )
        if context.route is not None:
            for reason in UNAVAILABLE:  # so that the first failure is an increase
                self._refusals.labels(context.binding, context.route, reason)
        self._refusal_log = RefusalLog()

    @classmethod
    def check_config(cls, config: AuthConfig) -> Iterator[ConfigFinding]:
        """Look at the files that the configuration names, and warn of weak hashes and unusable keys."""
        return findings(config)

    @staticmethod
    @hookimpl
    def gateway_commands() -> Sequence[click.Command]:
        """Offer ``gateway auth key new|list|revoke``."""
        from gateway_plugin_auth.key_commands import auth  # noqa: PLC0415 - a gateway that runs has no use for it

        return [auth]

    async def start(self) -> None:
        """Fetch keys and lists, so that the first request need not wait for them."""
        try:
            for provider in self._providers.values():
                await provider.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the refreshing of keys and lists."""
        for provider in self._providers.values():
            await provider.stop()

    @hookimpl
    def gateway_route_match(self, request: Request) -> Response | None:
        """Respond with the metadata of the resource: before access control, since clients without tokens ask for it."""
        return self._metadata.respond(request) if self._metadata is not None else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Give out a nonce for the client's next proof."""
        nonce = request.state.get(NONCE)
        if nonce is not None:
            response.headers["DPoP-Nonce"] = nonce

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Respond with 401 or 403, or let the request go on with its caller's name."""
        judgement: Judgement
        if self._check is not None:
            outcome = self._check(request)
            if type(outcome) is Verified:
                if self._changes_head:
                    self._admit(request, (outcome,))
                else:
                    request.identity = outcome.identity
                return None
            judgement = outcome  # type: ignore[assignment]  # mypy does not narrow by an exact type
        else:
            judgement = self._judge(request)
        if type(judgement) is tuple:
            self._admit(request, judgement)
            return None
        if isinstance(judgement, Refusal):
            return self._refuse(request, judgement)
        return self._wait_and_settle(request, judgement)

    async def _wait_and_settle(self, request: Request, judgement: Judgement) -> Response | None:
        # Each provider needs something at most three times: a key, a second look if what it stood on changed meanwhile,
        # and a verdict on a proof.
        for _ in range(3 * len(self._providers)):
            if not isinstance(judgement, Needs):
                break
            await judgement.work()
            judgement = self._judge(request)
        if isinstance(judgement, tuple):
            self._admit(request, judgement)
            return None
        return self._refuse(request, judgement if isinstance(judgement, Refusal) else judgement.otherwise)

    def _admit(self, request: Request, callers: tuple[Verified, ...]) -> None:
        if self._reserved is not None:
            self._reserved.drop(request.headers)
        if callers:
            first = callers[0]
            request.identity = first.identity
            for caller in callers:
                if caller.fields:
                    request.headers.extend(caller.fields)
            if len(callers) > 1:
                request.state["auth.identities"] = tuple(caller.identity for caller in callers)
        elif self._anonymous is not None:
            request.identity = self._anonymous
        for hide in self._hides:
            hide(request)

    def _refuse(self, request: Request, refusal: Refusal) -> Response | None:
        if self.config.allow_preflight and refusal.error is None and is_preflight(request):
            self._admit(request, ())
            return None
        request.state["auth.refusal"] = refusal.reason
        if refusal.detail:
            request.state["auth.refusal_detail"] = refusal.detail
        route = request.route.id if request.route is not None else self.context.route or ""
        self._refusals.labels(self.context.binding, route, refusal.reason).inc()
        self._report(request, refusal, route)
        return response_to(refusal, self._challenges, self.config.realm, self._parameters)

    def _report(self, request: Request, refusal: Refusal, route: str) -> None:
        left_out = self._refusal_log.take(refusal.reason, self.clock.monotonic())
        if left_out is None:
            return
        detail = f" ({refusal.detail})" if refusal.detail else ""
        more = f", and {left_out} others for this reason before" if left_out else ""
        place = f"route {route!r}" if route else "the gateway"
        is_early = refusal.reason in _EARLY
        hint = ": either the clock of its issuer is ahead, or this machine's is behind" if is_early else ""
        self.log.log(
            logging.WARNING if is_early else logging.INFO,
            "%s of %s refused %s: %s%s%s%s",
            self.context.binding,
            place,
            request.request_id,
            refusal.reason,
            detail,
            hint,
            more,
        )
