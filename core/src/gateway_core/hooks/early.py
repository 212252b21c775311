"""Let a request pass the hooks before the upstream by its head alone, where all of their bindings can say so.

Most requests pass most hooks unchanged, or with the same fields more as the request before. To say so takes none of
what hooks are given: no `Request`, no context. A route whose plain hooks before the upstream all belong to plugins with
`Plugin.passes_early` asks those first; if one of them does not let the head pass, all hooks run as usual.

Only hooks that are called as they are can be left out: a binding with a timeout, a quarantine, a ``when``, in shadow
mode, or whose hooks are timed or traced, has others around them that must run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway_core.hooks.chain import Chain, Hook
from gateway_core.hooks.ignored import stands_for
from gateway_core.hooks.plugin import Plugin
from gateway_core.hooks.policy import ANYTHING
from gateway_core.messages import EarlyHead, EarlyPass, FieldBlock, FieldNames, Request
from gateway_core.messages.fields import field_names
from gateway_core.messages.request_lines import let_pass

_MOST_OUTCOMES: Final = 256
"""Outcomes of a route that are remembered."""
_PHASE: Final = "passes_early"


class Passed:
    """What all hooks before the upstream do with a request that they let pass."""

    __slots__ = ("_upstream", "announced", "lines")

    def __init__(
        self,
        lines: bytes = b"",
        announced: dict[object, tuple[FieldBlock, FieldNames | None]] | None = None,
        upstream: str | None = None,
    ) -> None:
        self.lines = lines
        """The fields that the request gets."""
        self.announced = announced or {}
        """See `Request.announced`; not to be changed."""
        self._upstream = upstream

    def show(self, request: Request) -> None:
        """Make a request what it would be if its hooks had run."""
        let_pass(request, self.lines, self.announced, self._upstream)


NOTHING_PASSED: Final = Passed()
"""Of requests whose hooks were not left out, or that have none."""


class _Step:
    """One binding: what it says of a head."""

    __slots__ = ("hook", "instance", "names", "passes", "reads_none")

    def __init__(self, hook: Hook, instance: Plugin[object]) -> None:
        self.hook = hook
        self.instance = instance
        self.passes: Callable[[EarlyHead], EarlyPass | None] = instance.passes_early
        names = instance.early_headers
        self.reads_none = names is not None and not names
        self.names = field_names(sorted(names)) if names else None

    def may_read(self, lines: bytes) -> bool:
        """Return whether what earlier bindings added might matter to it: the head that it gets has nothing of that."""
        return bool(lines) and not self.reads_none and (self.names is None or self.names.are_in(lines.lower()))


class EarlyPasses:
    """The hooks of a route before the upstream, all of which may be left out."""

    __slots__ = ("_counts", "_known", "_steps", "_upstream")

    def __init__(self, hooks: tuple[Hook, ...], steps: tuple[_Step, ...], upstream: str | None) -> None:
        self._steps = steps
        self._counts = tuple([hook.counts for hook in hooks])
        self._upstream = upstream
        self._known: dict[tuple[EarlyPass, ...], Passed] = {}

    @classmethod
    def of(cls, chain: Chain, upstream: str) -> EarlyPasses | None:
        """Return those of a chain; None if it has none, or one of them must not be left out.

        :param upstream: name of the route's one target, which hooks of the pre-proxy phase see.
        """
        hooks = (*chain.route_match, *chain.pre_proxy)
        steps: dict[object, _Step] = {}
        for hook in hooks:
            instance = hook.announcer
            if not isinstance(instance, Plugin) or hook.is_async or _PHASE in instance.idle_hooks:
                return None
            if not stands_for(instance, _PHASE, hook.call):
                return None
            steps.setdefault(instance, _Step(hook, instance))
        if not steps or chain.reserved_by_route is not None:
            return None
        return cls(hooks, tuple(steps.values()), upstream if chain.pre_proxy else None)

    def decide(self, head: EarlyHead) -> Passed | None:
        """Return what the hooks would do with a request, and count them as called; None if they have to run."""
        outcomes: tuple[EarlyPass, ...] = ()
        step = None
        try:
            for step in self._steps:
                outcome = step.passes(head)
                if type(outcome) is not EarlyPass:
                    return None
                outcomes += (outcome,)
        except ANYTHING as error:
            assert step is not None, "only a plugin's own code raises"
            binding = step.hook.binding
            binding.faults.failed(binding, _PHASE, None, error)
            return None
        passed = self._known.get(outcomes)
        if passed is None:
            passed = self._combined(outcomes)
            if passed is None:
                return None
            if len(self._known) >= _MOST_OUTCOMES:
                self._known.clear()
            self._known[outcomes] = passed
        for counts in self._counts:
            counts.calls += 1
        return passed

    def _combined(self, outcomes: tuple[EarlyPass, ...]) -> Passed | None:
        lines, announced = b"", dict[object, tuple[FieldBlock, FieldNames | None]]()
        for step, outcome in zip(self._steps, outcomes, strict=True):
            if step.may_read(lines):
                return None
            if outcome.fields is not None:
                lines += outcome.fields.lines
            if outcome.announced is not None:
                announced[step.instance] = outcome.announced
        return Passed(lines, announced, self._upstream)
