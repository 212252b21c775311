"""The relay of a request whose body hooks have changed, or whose attempts have hooks of their own.

The head for each endpoint is made as for any request; then the attempt hooks run over it, afresh for each attempt. What
goes upstream in place of the client's body was asked for by the gateway, so the upstream gets no Expect.
"""

from __future__ import annotations

from typing import Protocol

from gateway_core.hooks import Hook, Stop
from gateway_core.messages import Response
from gateway_core.proxy.attempt_owner import PreparedRequest
from gateway_core.proxy.attempt_phase import AttemptPhase
from gateway_core.proxy.exchange_operations import ExchangeOperations
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.relay_owner import RelayOwner
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.snapshot import CompiledRoute, RouteTarget, Snapshot
from gateway_core.upstreams.endpoint import Endpoint


class HookedRelayOwner(RelayOwner, Protocol):
    """The exchange, as far as such a relay uses it."""

    hook_operations: ExchangeOperations | None
    snapshot: Snapshot

    def note_failure(self, reason: str, detail: str) -> None:
        """Record why the response is not an upstream's or a plugin's."""

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Respond, through these response hooks."""


def make_relay(
    owner: HookedRelayOwner, directory: UpstreamDirectory, route: CompiledRoute, target: RouteTarget, deadline: float
) -> Relay:
    """Return what sends the request of an exchange that has hooks."""
    hooks = owner.chain.attempt + owner.snapshot.attempt_hooks.get(target.upstream.name, ())
    if not hooks and owner.sent_body is owner.body:
        return Relay(owner, directory, route, target, deadline)
    return HookedRelay(owner, directory, route, target, deadline, hooks)


class HookedRelay(Relay):
    """Sends one request upstream, and runs the attempt hooks before each attempt."""

    __slots__ = ("_attempt_hooks", "_exchange", "_is_changed")

    def __init__(
        self,
        owner: HookedRelayOwner,
        directory: UpstreamDirectory,
        route: CompiledRoute,
        target: RouteTarget,
        total_deadline: float,
        hooks: tuple[Hook, ...],
    ) -> None:
        """Send nothing yet.

        :param hooks: those of each attempt, in order.
        """
        super().__init__(owner, directory, route, target, total_deadline)
        self._exchange = owner
        self._attempt_hooks = hooks
        self._is_changed = owner.sent_body is not owner.body
        if self._is_changed:
            self._continue_sent = True
            assert owner.hook_operations is not None
            owner.hook_operations.body.sent_by(self)

    def _is_as_prepared(self) -> bool:
        return not self._is_changed and super()._is_as_prepared()

    def prepare(self, endpoint: Endpoint, now: float) -> PreparedRequest | None:
        """Make the head and run the hooks over it; None if the head is passed on later, or refused."""
        prepared = super().prepare(endpoint, now)
        if prepared is None or not self._attempt_hooks:
            return prepared
        exchange = self._exchange
        exchange.watch(0)
        phase = AttemptPhase(self._attempt_hooks, exchange.request, exchange.runner())
        phase.start(endpoint, prepared, self._prepared, self._refused)
        return None

    def body_ended(self) -> None:
        """Called when the client's body is complete."""
        if not self._is_changed:
            super().body_ended()

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete, if it is not the client's."""
        super().body_ended()

    def _prepared(self, prepared: PreparedRequest) -> None:
        call = self.upstream_request
        call.connect(prepared, call.directory.now())

    def _refused(self, stop: Stop) -> None:
        """Respond for a hook that failed; there is no other attempt."""
        exchange, response = self._exchange, stop.result
        assert isinstance(response, Response)
        self.upstream_request.give_up()
        exchange.note_failure(response.failure or "plugin.failed", stop.error or "")
        exchange.respond_with(response, exchange.chain.response)
