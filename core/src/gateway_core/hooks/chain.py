"""The bindings that apply to a route, resolved per phase into functions that are ready to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final

from gateway_core.config.catalog import HOOK_TIMES
from gateway_core.errors import is_clients_doing
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.hook_inspection import HookEntry, table_of
from gateway_core.hooks.ignored import ArrivedResponse, Ignored, stands_for
from gateway_core.hooks.plugin import Plugin
from gateway_core.hooks.wrap import hook_call
from gateway_core.hookspecs import REQUEST_PHASES
from gateway_core.messages import Request, Response
from gateway_core.messages.fields import FieldBlock, FieldNames, field_names
from gateway_core.messages.hook_owner import current_request, mark_counted
from gateway_core.observe import HookObserver, RequestTimes

BEFORE_UPSTREAM: Final = ("gateway_request", "gateway_route_match", "gateway_pre_proxy")
"""The phases that a response may stop, in order."""


class Hook:
    """One hook of one binding, ready to call."""

    __slots__ = ("announcer", "binding", "call", "counts", "ignored", "is_async", "phase")

    def __init__(self, call: Callable[..., object], binding: Binding, phase: str, *, is_async: bool = False) -> None:
        self.call = call
        """Takes exactly the arguments of the phase's spec, in their order."""
        self.announcer = getattr(call, "__self__", None)
        """The plugin whose plain method this is, which may be left out if its fields are announced; None for others."""
        self.ignored: Ignored | None = None
        """Of a response hook that may be left out, what it ignores (`Plugin.ignores_response`)."""
        if phase == "gateway_response" and isinstance(plugin := self.announcer, Plugin):
            is_known = stands_for(plugin, "ignores_response", call)
            self.ignored = Ignored(binding, plugin.ignores_response) if is_known else None
        self.binding = binding
        self.phase = phase
        self.counts = binding.instance.metrics.hook(binding.plugin, binding.id, phase)
        self.is_async = is_async
        """Whether it is declared ``async`` or blocking; a plain hook may return an awaitable all the same."""

    def body_failed(self, request: Request | None, error: BaseException) -> None:
        """Count and log that a filter or a body of its making failed."""
        mark_counted(error)
        if is_clients_doing(error):
            if self.binding.quarantine is not None:
                self.binding.quarantine.abandoned()
            return
        request = current_request.get() if request is None else request
        self.binding.faults.failed(self.binding, self.phase, request, error)

    def __repr__(self) -> str:
        return f"<Hook {self.phase} of {self.binding}>"


@dataclass(slots=True, eq=False)
class Stop:
    """The end of a phase: a hook responded, chose another route, or failed and denies."""

    result: Response | str
    hook: Hook
    error: str | None = None
    """Why the gateway responds for the hook; for logs and the record, never for clients."""

    def with_copy(self) -> Stop:
        """Replace a response, which may be the plugin's own object, by a copy that may be changed."""
        if isinstance(self.result, Response):
            self.result = own_response(self.hook, self.result)
        return self


def own_response(hook: Hook, response: Response) -> Response:
    """Return what the exchange works on: a plugin may return one response many times."""
    copied = response.copy_head()
    if not copied.produced_by:
        copied.produced_by = hook.binding.id
    if not isinstance(copied.body, bytes):
        copied.body_owner = hook
    return copied


class Chain:
    """The bindings of a route (or the gateway-wide ones alone), resolved per phase."""

    __slots__ = (
        "_after",
        "_for_own",
        "_pre_proxy_order",
        "_targets",
        "attempt",
        "bindings",
        "ignores",
        "log",
        "pre_proxy",
        "request",
        "reserved",
        "reserved_by_route",
        "response",
        "response_to_all",
        "route_match",
    )

    def __init__(self, bindings: Sequence[Binding], hooks: dict[str, list[Hook]]) -> None:
        self.bindings = tuple(bindings)
        """In the order in which they run."""
        self.request = tuple(hooks["gateway_request"])
        """Of gateway-wide bindings only: no route is known when they run."""
        self.route_match = tuple(hooks["gateway_route_match"])
        self.pre_proxy = tuple(hooks["gateway_pre_proxy"])
        """If the route has bindings of targets, only those before the target's: see `for_target`."""
        self.attempt = tuple(hooks["gateway_attempt"])
        """Without those of the upstream, which come last."""
        self.response = tuple(hooks["gateway_response"])
        """In the order in which they run, which is the reverse of the configuration's."""
        self.ignores = any(each.ignored is not None for each in self.response)
        """Whether one of them may ignore a response."""
        self.response_to_all = tuple(each for each in self.response if each.binding.instance.responses == "all")
        """Of bindings that see every response, such as that to a request whose head is refused."""
        self.log = tuple(hooks["gateway_log"])
        self.reserved = _reserved(bindings)
        """Finds the fields to remove before the request hooks: those that only these bindings may set."""
        # Request hooks may set the fields of gateway-wide bindings, which were removed before them.
        self.reserved_by_route = _reserved([each for each in bindings if not self.request or each.route is not None])
        """Finds the fields to remove when the route is known; None if there are none."""
        self._after: dict[Hook, tuple[Hook, ...]] | None = None
        self._for_own: dict[Binding, Chain] = {}
        self._pre_proxy_order = self.pre_proxy
        self._targets: Mapping[str, Chain] | None = None

    def for_target(self, target: str) -> Chain | None:
        """Return the chain to go on with when the pre-proxy hooks before the target's have run.

        :param target: name of the upstream that is set by then; a plugin may have chosen another than the route's.
        :returns: one whose ``pre_proxy`` has the hooks that are left; None if no target of the route has bindings, so
            that this chain's are all.
        """
        targets = self._targets
        return None if targets is None else targets.get(target) or targets[_OTHER_TARGETS]

    @property
    def variants(self) -> tuple[Chain, ...]:
        """This chain, and those that `for_target` may return."""
        return (self, *(self._targets or {}).values())

    def rerouted(self, stop: Stop) -> tuple[Hook, ...]:
        """Return the route-match hooks to run when a hook has chosen this chain's route.

        Those of the route itself, and behind them the gateway-wide ones that have not run for the request.
        """
        earlier = stop.hook.binding
        hooks = self.route_match
        if earlier.route is None and earlier in self.bindings:
            position = self.bindings.index(earlier)
            ran = set(self.bindings[: position + 1])
        else:
            own = [index for index, each in enumerate(self.bindings) if each.route is not None]
            first = own[0] if own else len([each for each in self.bindings if not each.is_after])
            ran = set(self.bindings[:first])
        return tuple(each for each in hooks if each.binding.route is not None or each.binding not in ran)

    def hooks_of(self, phase: str) -> tuple[Hook, ...]:
        """Return the hooks of a phase by its hook's name, in the order in which they run."""
        hooks: tuple[Hook, ...] = getattr(self, phase.removeprefix("gateway_"))
        return hooks

    def response_after(self, phase: str, stop: Stop) -> tuple[Hook, ...]:
        """Return the response hooks to run when a hook stopped an earlier phase.

        Like the layers of an onion: of the bindings whose earlier phases ran, of those without a hook in this phase
        that the configuration lists before the one that stopped it, and of those that see every response.
        """
        if self._after is None:
            self._after = {}
        found = self._after.get(stop.hook)
        if found is None:
            found = self._after[stop.hook] = self._entered(phase, stop.hook)
        return found

    def for_stop(self, stop: Stop) -> Chain:
        """Return the chain to go on with when a hook before the upstream has responded: as a rule this one.

        Where the binding ignores its own responses (`Plugin.ignores_own_responses`), one without its later hooks.
        """
        binding = stop.hook.binding
        if not binding.instance.ignores_own_responses or stop.error is not None:
            return self
        chain = self._for_own.get(binding)
        if chain is None:
            chain = self._for_own[binding] = copy(self)
            chain._after, chain._for_own = None, {}  # noqa: SLF001 - of the same class
            for phase in ("response", "response_to_all", "log"):
                setattr(chain, phase, tuple(each for each in getattr(self, phase) if each.binding is not binding))
        return chain

    def split_response(self, hook: Hook) -> tuple[tuple[Hook, ...], tuple[Hook, ...]]:
        """Return the response hooks within and around a pre-proxy hook that forwards the request.

        Those of the bindings behind it see the response before the hook gets it; the others see what the hook returns.
        """
        position = self.bindings.index(hook.binding)
        behind = set(self.bindings[position + 1 :])
        inner = tuple(each for each in self.response if each.binding in behind)
        return inner, tuple(each for each in self.response if each.binding not in behind)

    def _entered(self, phase: str, hook: Hook) -> tuple[Hook, ...]:
        hooks = self._pre_proxy_order if phase == "gateway_pre_proxy" else self.hooks_of(phase)
        if hook not in hooks:
            return self.response
        called = {each.binding for each in hooks[: hooks.index(hook) + 1]}
        not_called = {each.binding for each in hooks} - called
        position = self.bindings.index(hook.binding)
        entered = called | (set(self.bindings[:position]) - not_called)
        for earlier in BEFORE_UPSTREAM[: BEFORE_UPSTREAM.index(phase)]:
            entered.update(each.binding for each in self.hooks_of(earlier))
        return tuple(
            each for each in self.response if each.binding in entered or each.binding.instance.responses == "all"
        )

    def _split_at(self, targets: Mapping[str, Chain], before: Sequence[Binding]) -> None:
        """Let each target's chain go on behind the hooks of the bindings before it."""
        first = {id(each) for each in before}
        for chain in (self, *targets.values()):
            chain._pre_proxy_order = chain.pre_proxy  # noqa: SLF001 - of the same class
            chain.pre_proxy = tuple(each for each in chain.pre_proxy if (id(each.binding) in first) is (chain is self))
        self._targets = targets


def announced_lines(
    hooks: tuple[Hook, ...], announced: Mapping[object, tuple[FieldBlock, FieldNames | None]], head: ArrivedResponse
) -> bytes | None:
    """Return the lines that response hooks have announced, and count the hooks as called.

    :param announced: what was announced (`Request.announced`).
    :param head: that came.
    :returns: None if one of the hooks is not announced and does not ignore the response, or has to see it.
    """
    lines, lowered = b"", head.lowered
    for hook in hooks:
        fields, unless = announced.get(hook.announcer, _NOT_ANNOUNCED)
        if fields is None:
            if (ignored := hook.ignored) is None or not ignored.has(head, lines):
                return None
            continue
        if fields.has_framing:
            return None
        if unless is not None and (
            unless.has_added or unless.are_in_repeated(lowered) or (lines and unless.are_in(lines.lower()))
        ):
            return None
        lines += fields.lines
    for hook in hooks:
        hook.counts.calls += 1
    return lines


_NOT_ANNOUNCED: Final = (None, None)
_OTHER_TARGETS: Final = ""
"""Stands for targets without bindings of their own."""


def _reserved(bindings: Sequence[Binding]) -> FieldNames | None:
    return field_names(sorted({name for each in bindings for name in each.instance.reserved_headers}))


def build_chain(
    bindings: Sequence[Binding],
    observer: HookObserver | None = None,
    *,
    after: Sequence[Binding] = (),
    targets: Mapping[str, Sequence[Binding]] | None = None,
) -> Chain:
    """Resolve bindings, given in the order of the configuration.

    pluggy has checked each plugin's hooks (`table_of`). The order in every phase is: these bindings, the target's,
    those behind; in the response phase its reverse. Only attempt hooks of targets come behind all others.

    :param bindings: gateway-wide ones with ``order: before``, then the route's own.
    :param after: gateway-wide ones with ``order: after``.
    :param targets: by the name of a target's upstream, the target's bindings.
    :param observer: notified of every call of a hook; None costs nothing.
    """
    made: dict[tuple[Binding, str], list[Hook]] = {}
    everything = [*bindings, *after, *(each for own in (targets or {}).values() for each in own)]
    observers = [] if observer is None else [observer]
    if any(HOOK_TIMES in binding.instance.needs for binding in everything):
        observers.append(RequestTimes())
    for binding in dict.fromkeys(everything):
        for phase, hooks in _hooks_by_phase(binding, observers).items():
            made[binding, phase] = hooks
    chain = _chain_of(bindings, (), after, made)
    if targets and any(targets.values()):
        chains = {name: _chain_of(bindings, own, after, made) for name, own in targets.items()}
        chains[_OTHER_TARGETS] = _chain_of(bindings, (), after, made)
        chain._split_at(chains, bindings)  # noqa: SLF001 - made here
    return chain


def attempt_hooks(bindings: Sequence[Binding], observer: HookObserver | None = None) -> tuple[Hook, ...]:
    """Return the attempt hooks of an upstream's bindings: they run last, and alone for mirrors, fetches and pages."""
    return tuple(
        hook
        for binding in bindings
        for hook in _hooks_by_phase(binding, [] if observer is None else [observer]).get("gateway_attempt", ())
    )


def _chain_of(
    bindings: Sequence[Binding],
    target: Sequence[Binding],
    after: Sequence[Binding],
    made: Mapping[tuple[Binding, str], list[Hook]],
) -> Chain:
    order = [*bindings, *target, *after]
    hooks = {phase: [hook for each in order for hook in made.get((each, phase), ())] for phase in REQUEST_PHASES}
    hooks["gateway_attempt"] = [
        hook for each in (*bindings, *after, *target) for hook in made.get((each, "gateway_attempt"), ())
    ]
    hooks["gateway_response"].reverse()
    return Chain(order, hooks)


def _hooks_by_phase(binding: Binding, observers: Sequence[HookObserver]) -> dict[str, list[Hook]]:
    hooks: dict[str, list[Hook]] = {}
    for phase, entries in table_of(type(binding.instance)).items():
        if phase in binding.instance.idle_hooks or (phase == "gateway_request" and binding.route is not None):
            continue
        hooks[phase] = [_hook(binding, phase, entry, observers) for entry in entries]
    return hooks


def _hook(binding: Binding, phase: str, entry: HookEntry, observers: Sequence[HookObserver]) -> Hook:
    return Hook(hook_call(binding, phase, entry, observers), binding, phase, is_async=entry.is_async)


NO_HOOKS: Final = build_chain(())
"""What requests pass where nothing is bound."""
