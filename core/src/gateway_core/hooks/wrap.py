"""How a hook is called: the bound method itself, or wrapped in what its binding asks for.

A plain method of a binding without timeout, quarantine or shadow mode is called as it is. Each wrapper is built with
the chain, so a request pays only for what is configured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from gateway_core.events import PLUGIN_RECOVERED, emit
from gateway_core.hooks.awaiting import Deferred
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.blocking import THREADS
from gateway_core.hooks.failure_log import HookTimeoutError, QuarantinedError, count
from gateway_core.hooks.hook_inspection import HookEntry
from gateway_core.hooks.quarantine import Quarantine
from gateway_core.hooks.shadow import shadowed, with_own_state
from gateway_core.messages import Request, Response
from gateway_core.messages.addresses import client_network
from gateway_core.metrics.catalogue import PLUGIN_QUARANTINED
from gateway_core.observe import HookObserver, HookWatch, ObservedHook

Call = Callable[..., Any]


def hook_call(binding: Binding, phase: str, entry: HookEntry, observers: Sequence[HookObserver]) -> Call:
    """Return a function that takes exactly the spec's arguments and does what the binding asks for."""
    call: Call = getattr(binding.instance, entry.attribute)
    if entry.is_blocking:
        call = partial(THREADS.run, call)
    if entry.arguments is not None:
        call = _adapted(call, entry.arguments)
    for observer in observers:
        hook = ObservedHook(binding.plugin, binding.id, binding.route, phase)
        call = _observed(call, observer.watch(hook))
    if binding.timeout is not None and not entry.is_async:
        call = _watched(call, binding, phase, binding.timeout)
    if binding.quarantine is not None:
        call = _gated(call, binding, phase, binding.quarantine)
    if binding.is_shadow:
        call = with_own_state(call, binding) if phase == "gateway_log" else shadowed(call, binding, phase)
    if binding.when is not None:
        call = _conditional(call, binding, binding.when)
    return call


_DECIDED = "_decided_bindings"
"""Attribute of a request: the bindings with a ``when`` whose turn came, and whether they run."""


def _conditional(call: Call, binding: Binding, when: Callable[[Request], bool]) -> Call:
    """Leave out the calls for requests that the binding does not run for, which its first turn decides."""

    def conditional(request: Request, *rest: Any) -> Any:
        decided: dict[Binding, bool] = request.__dict__.setdefault(_DECIDED, {})
        runs = decided.get(binding)
        if runs is None:
            runs = decided[binding] = when(request)
        return call(request, *rest) if runs else None

    return conditional


def _observed(call: Call, watch: HookWatch) -> Call:
    """Tell an observer of each call."""
    begin, end = watch.begin, watch.end

    def observed(request: Request, *rest: Any) -> Any:
        begun = None if begin is None else begin(request, rest)
        started = perf_counter()
        try:
            result = call(request, *rest)
        except BaseException as error:
            end(begun, request, None, error, perf_counter() - started)
            raise
        if result is not None and isinstance(result, Awaitable):
            return Deferred(result, lambda each: awaited(each, begun, request, started))
        end(begun, request, result, None, perf_counter() - started)
        return result

    async def awaited(awaitable: Awaitable[Any], begun: Any, request: Request, started: float) -> Any:
        try:
            result = await awaitable
        except BaseException as error:
            end(begun, request, None, error, perf_counter() - started)
            raise
        end(begun, request, result, None, perf_counter() - started)
        return result

    return observed


def _adapted(call: Call, arguments: tuple[int, ...]) -> Call:
    match arguments:
        case ():
            return lambda *_: call()
        case (0,):
            return lambda first, *_: call(first)
        case (index,):
            return lambda *given: call(given[index])
    return lambda *given: call(*[given[index] for index in arguments])


def _watched(call: Call, binding: Binding, phase: str, timeout: float) -> Call:
    """A plain hook cannot be interrupted: what took too long is at least counted and reported."""

    def watched(*args: Any) -> Any:
        started = perf_counter()
        result = call(*args)
        taken = perf_counter() - started
        if taken > timeout:
            error = HookTimeoutError(
                f"the plain hook held up everything for {taken:.3f}s, more than its timeout of {timeout:g}s: "
                "make it async, or mark it with @hookimpl_blocking"
            )
            binding.faults.failed(binding, phase, args[0], error)
        return result

    return watched


def _gated(call: Call, binding: Binding, phase: str, quarantine: Quarantine) -> Call:
    clock = binding.instance.clock

    def gated(*args: Any) -> Any:
        if quarantine.is_closed:
            return call(*args)
        if not quarantine.admits(clock.monotonic(), phase, client_network(args[0].client_ip)):
            count(binding, phase, PLUGIN_QUARANTINED)
            raise QuarantinedError("in quarantine")
        try:
            result = call(*args)
        except Exception:
            raise  # the caller counts the failure, and that ends the probe
        except BaseException:
            quarantine.abandoned()
            raise
        if isinstance(result, Awaitable):
            return Deferred(result, lambda each: _tried(each, binding, quarantine))
        _settle(result, binding, quarantine)
        return result

    return gated


async def _tried(awaitable: Awaitable[Any], binding: Binding, quarantine: Quarantine) -> Any:
    try:
        result = await awaitable
    except Exception:
        raise
    except BaseException:
        quarantine.abandoned()
        raise
    _settle(result, binding, quarantine)
    return result


def _settle(result: object, binding: Binding, quarantine: Quarantine) -> None:
    # A result of a wrong type is a failure, which the caller finds and counts.
    if (result is None or isinstance(result, Response | str)) and quarantine.succeeded():
        text = f"{binding} works again and left quarantine"
        emit(PLUGIN_RECOVERED, text, logger=binding.instance.log, plugin=binding.plugin, binding=binding.path)
