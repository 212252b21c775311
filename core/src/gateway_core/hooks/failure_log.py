"""What goes wrong in hooks: counted, and logged so that one broken plugin cannot flood the log."""

from __future__ import annotations

import logging
import traceback
from math import inf
from typing import Final, Protocol

from gateway_core.clock import Clock
from gateway_core.errors import BadBodyError, BodyTooLargeError, ClientGoneError, GatewayError, UpstreamError
from gateway_core.events import PLUGIN_FAILED, PLUGIN_QUARANTINED, Repeats, emit, repeated
from gateway_core.failure_text import text_of
from gateway_core.hooks.quarantine import Quarantine
from gateway_core.messages import Request
from gateway_core.messages.addresses import client_network
from gateway_core.messages.fields import HeaderError
from gateway_core.messages.trace import trace_id_of
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import PLUGIN_ERRORS, PLUGIN_QUARANTINES, PLUGIN_TIMEOUTS
from gateway_core.metrics.samples import Family

_MOST_KINDS: Final = 20
"""Kinds of failures whose first one is logged with its traceback."""
_RECENT: Final = 300.0
"""Seconds for which a failure is worth looking at."""


class FailingInstance(Protocol):
    """A plugin instance, as far as its failures are reported."""

    clock: Clock
    log: logging.Logger
    metrics: Metrics


class FailingBinding(Protocol):
    """A binding, as far as its failures are reported; its text is how logs name it."""

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def plugin(self) -> str: ...
    @property
    def instance(self) -> FailingInstance: ...
    @property
    def quarantine(self) -> Quarantine | None: ...


class HookTimeoutError(GatewayError):
    """A hook took longer than its binding allows."""


class HookResultError(GatewayError):
    """A hook returned what its spec does not allow."""


class QuarantinedError(GatewayError):
    """A hook was not called, because its binding is in quarantine."""


def is_innocent(error: BaseException) -> bool:
    """Return whether a failure says nothing of the plugin, because the client or an upstream brought it about."""
    return isinstance(error, (BadBodyError, BodyTooLargeError, ClientGoneError, HeaderError, UpstreamError))


class Faults:
    """The record of one plugin instance; it lives as long as the instance, over reloads too."""

    __slots__ = ("_kinds", "_repeats", "count", "last_at")

    def __init__(self) -> None:
        self.count = 0
        """Failures of any hook, timeouts included."""
        self.last_at = -inf
        """Monotonic seconds of the last one."""
        self._repeats = Repeats()
        self._kinds: frozenset[tuple[str, str]] = frozenset()

    def failed(self, binding: FailingBinding, phase: str, request: Request | None, error: BaseException) -> None:
        """Count a failure, report it, and let the quarantine know.

        The first failure of a kind is logged with its traceback.
        """
        self.count += 1
        count(binding, phase, PLUGIN_TIMEOUTS if isinstance(error, HookTimeoutError) else PLUGIN_ERRORS)
        now = self.last_at = binding.instance.clock.monotonic()
        quarantine = binding.quarantine
        if quarantine is not None:
            if is_innocent(error):
                quarantine.abandoned()
            elif quarantine.failed(now, phase, "" if request is None else client_network(request.client_ip)):
                self._report_quarantine(binding, phase)
        kind = (phase, type(error).__qualname__)
        if not (number := self._repeats.count(kind, now)):
            return
        is_new = kind not in self._kinds and len(self._kinds) < _MOST_KINDS
        self._kinds |= {kind} if is_new else set()
        request_id = request.request_id if request is not None and request.request_id else None
        reason = describe(error)
        emit(
            PLUGIN_FAILED,
            f"{binding} failed in {phase}, request {request_id or '-'}: {reason}{repeated(number)}",
            error=error if is_new and not isinstance(error, GatewayError) else None,
            logger=binding.instance.log,
            plugin=binding.plugin,
            binding=binding.path,
            phase=phase,
            request_id=request_id,
            trace_id=None if request is None else trace_id_of(request.trace),
            reason=reason,
            count=number,
        )

    def is_recent(self, now: float) -> bool:
        """Whether the last failure is less than `_RECENT` old.

        :param now: monotonic seconds.
        """
        return now - self.last_at < _RECENT

    def forgive(self) -> None:
        """Have none of the failures so far count as recent: the binding begins again."""
        self.last_at = -inf

    @staticmethod
    def _report_quarantine(binding: FailingBinding, phase: str) -> None:
        count(binding, phase, PLUGIN_QUARANTINES)
        assert binding.quarantine is not None
        policy = binding.quarantine.policy
        emit(
            PLUGIN_QUARANTINED,
            f"{binding} is in quarantine for {policy.open_for:g}s: {phase} keeps failing",
            logger=binding.instance.log,
            plugin=binding.plugin,
            binding=binding.path,
            phase=phase,
            seconds=policy.open_for,
        )


def count(binding: FailingBinding, phase: str, family: Family, *more: str) -> None:
    """Count one event of a binding's phase; not for the path of every request.

    :param more: the values of the family's labels behind plugin, binding and phase.
    """
    binding.instance.metrics.count(family, binding.plugin, binding.id, phase, *more)


def describe(error: BaseException) -> str:
    """Return an exception in one line with the place that raised it."""
    if isinstance(error, GatewayError):
        return str(error)
    text = text_of(error)
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{named} ({frames[-1].filename}:{frames[-1].lineno})" if frames else named
