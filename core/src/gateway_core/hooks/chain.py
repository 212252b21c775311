"""The bindings that apply to a route, resolved per phase into functions that are ready to call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway_core.config.catalog import HOOK_TIMES
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.hook_inspection import HookEntry, table_of
from gateway_core.hooks.hook_wrappers import hook_call
from gateway_core.hooks.timings import noted
from gateway_core.messages import Response
from gateway_core.messages.fields import FieldNames, field_names

if TYPE_CHECKING:
    from gateway_core.hooks.timings import Timings

BEFORE_UPSTREAM: Final = ("gateway_request", "gateway_route_match", "gateway_pre_proxy")
"""The phases that a response may stop, in order."""


class Hook:
    """One hook of one binding, ready to call."""

    __slots__ = ("binding", "call", "is_async", "phase")

    def __init__(self, call: Callable[..., object], binding: Binding, phase: str, *, is_async: bool = False) -> None:
        self.call = call
        """Takes exactly the arguments of the phase's spec, in their order."""
        self.binding = binding
        self.phase = phase
        self.is_async = is_async
        """Whether it is declared ``async`` or blocking; a plain hook may return an awaitable all the same."""

    def __repr__(self) -> str:
        return f"<Hook {self.phase} of {self.binding}>"


@dataclass(slots=True, eq=False)
class Stop:
    """The end of a phase: a hook answered, chose another route, or failed and denies."""

    result: Response | str
    hook: Hook
    error: str | None = None
    """Why the gateway answers for the hook; for logs and the record, never for clients."""


class Chain:
    """The bindings of a route (or the gateway-wide ones alone), resolved per phase."""

    __slots__ = (
        "_after",
        "bindings",
        "log",
        "pre_proxy",
        "request",
        "reserved",
        "reserved_by_route",
        "response",
        "route_match",
    )

    def __init__(self, bindings: Sequence[Binding], hooks: dict[str, list[Hook]]) -> None:
        self.bindings = tuple(bindings)
        """In the order of the configuration."""
        self.request = tuple(hooks["gateway_request"])
        """Of gateway-wide bindings only: no route is known when they run."""
        self.route_match = tuple(hooks["gateway_route_match"])
        self.pre_proxy = tuple(hooks["gateway_pre_proxy"])
        self.response = tuple(hooks["gateway_response"])
        """In the order in which they run, which is the reverse of the configuration's."""
        self.log = tuple(hooks["gateway_log"])
        self.reserved = _reserved(bindings)
        """Finds the fields to remove before the request hooks: those that only these bindings may set."""
        # Request hooks may set the fields of gateway-wide bindings, which were removed before them.
        self.reserved_by_route = _reserved([each for each in bindings if not self.request or each.route is not None])
        """Finds the fields to remove when the route is known; None if there are none."""
        self._after: dict[Hook, tuple[Hook, ...]] | None = None

    def hooks_of(self, phase: str) -> tuple[Hook, ...]:
        """Return the hooks of a phase by its hook's name, in the order in which they run."""
        hooks: tuple[Hook, ...] = getattr(self, phase.removeprefix("gateway_"))
        return hooks

    def response_after(self, phase: str, stop: Stop) -> tuple[Hook, ...]:
        """Return the response hooks to run when a hook stopped an earlier phase.

        Like the layers of an onion: of the bindings whose earlier phases ran, and of those without a hook in this
        phase that the configuration lists before the one that stopped it.
        """
        if self._after is None:
            self._after = {}
        found = self._after.get(stop.hook)
        if found is None:
            found = self._after[stop.hook] = self._entered(phase, stop.hook)
        return found

    def _entered(self, phase: str, hook: Hook) -> tuple[Hook, ...]:
        hooks = self.hooks_of(phase)
        if hook not in hooks:
            return self.response
        called = {each.binding for each in hooks[: hooks.index(hook) + 1]}
        not_called = {each.binding for each in hooks} - called
        position = self.bindings.index(hook.binding)
        entered = called | (set(self.bindings[:position]) - not_called)
        for earlier in BEFORE_UPSTREAM[: BEFORE_UPSTREAM.index(phase)]:
            entered.update(each.binding for each in self.hooks_of(earlier))
        return tuple(each for each in self.response if each.binding in entered)


def _reserved(bindings: Sequence[Binding]) -> FieldNames | None:
    return field_names(sorted({name for each in bindings for name in each.instance.reserved_headers}))


def build_chain(bindings: Sequence[Binding], timings: Timings | None = None) -> Chain:
    """Resolve bindings, given in the order of the configuration.

    pluggy has checked each plugin's hooks (`table_of`). The order in every phase is the configuration's, in the
    response phase its reverse.

    :param timings: measure every hook's time there; None costs nothing.
    """
    hooks: dict[str, list[Hook]] = {phase: [] for phase in _PHASES}
    is_noted = any(HOOK_TIMES in binding.instance.needs for binding in bindings)
    for binding in bindings:
        for phase, entries in table_of(type(binding.instance)).items():
            if phase == "gateway_request" and binding.route is not None:
                continue
            if phase in binding.instance.idle_hooks:
                continue
            for entry in entries:
                hooks[phase].append(_hook(binding, phase, entry, timings, is_noted))
    hooks["gateway_response"].reverse()
    return Chain(bindings, hooks)


_PHASES: Final = (*BEFORE_UPSTREAM, "gateway_response", "gateway_log")


def _hook(binding: Binding, phase: str, entry: HookEntry, timings: Timings | None, is_noted: bool) -> Hook:
    call = hook_call(binding, phase, entry, timings)
    if is_noted:
        call = noted(call, binding, phase)
    return Hook(call, binding, phase, is_async=entry.is_async)
