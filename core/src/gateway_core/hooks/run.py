"""Run the hooks of a phase: inline while they are plain, in a task from the first one that must be awaited.

A phase whose hooks all return None costs a loop over a tuple and nothing else: each ``start_...`` function has that
loop for the arguments of its phase. Whatever else can happen (a result, a failure, an awaitable) leaves it, and
a `_Run` goes on from there. What differs between the phases is what a result and a failure mean, which `_Rules` say.

Plain hooks run in the context of the caller: ``context.run(start_phase, ...)`` runs them in an exchange's own. A
`Suspended` phase is finished in a task with that context.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from gateway_core.errors import TextTooLongError
from gateway_core.hooks.awaiting import awaited, discard
from gateway_core.hooks.chain import Hook, Stop, own_response
from gateway_core.hooks.failure_log import HookResultError, describe
from gateway_core.hooks.policy import (
    ANYTHING,
    FAILURES,
    client_error_in,
    handle_failure,
    is_refusal,
    problem_of,
    wrong_result,
)
from gateway_core.messages import Record, Request, Response, RouteInfo, UpstreamAttempt
from gateway_core.messages.hook_owner import awaited_hook, calls_hooks
from gateway_core.messages.response import close_bodies

Hooks = tuple[Hook, ...]
OutcomeT = TypeVar("OutcomeT")

_ABSENT: Final[Any] = object()


class Suspended(Generic[OutcomeT]):
    """A phase that has come to a hook which must be awaited."""

    __slots__ = ("_awaitable", "_hook", "_run")

    def __init__(self, run: _Run, hook: Hook, awaitable: Awaitable[object]) -> None:
        self._run = run
        self._hook = hook
        self._awaitable: Awaitable[object] | None = awaitable

    @property
    def hook(self) -> Hook:
        """The hook that is awaited."""
        return self._hook

    @property
    def rest(self) -> Hooks:
        """The hooks behind the one that is awaited."""
        return self._run.hooks[self._run.index :]

    def take_rest(self) -> Hooks:
        """Return the hooks behind the one that is awaited, which ends the phase: for who runs them itself."""
        run = self._run
        rest, run.index = run.hooks[run.index :], len(run.hooks)
        return rest

    async def finish(self) -> OutcomeT:
        """Await the hook and run the rest of the phase; to be awaited in a task, once."""
        run = self._run
        while True:
            awaitable, self._awaitable = self._awaitable, None
            assert awaitable is not None, "a phase is finished once"
            hook = self._hook  # by this name, for `running_hook`
            awaited_hook.set(hook)
            try:
                result = await awaited(awaitable, hook.binding.timeout)
            except FAILURES as error:
                is_over = run.rules.fail(run, hook, error)
            except asyncio.CancelledError:
                await run.rules.abandon(run)
                raise
            else:
                is_over = result is not None and run.rules.settle(run, hook, result)
            found = None if is_over else run.advance()
            if found is None:
                awaited_hook.set(None)
                outcome: OutcomeT = run.rules.outcome(run)
                return outcome
            self._hook, self._awaitable = found

    def __del__(self) -> None:
        if self._awaitable is not None:
            discard(self._awaitable)


class _Rules:
    """What results and failures of a phase's hooks mean: here those of the log, where every hook is called whatever the
    others do. The functions return whether the phase is over.
    """

    def settle(self, run: _Run, hook: Hook, result: object) -> bool:
        return self.fail(run, hook, wrong_result(hook, result))

    def fail(self, run: _Run, hook: Hook, error: BaseException) -> bool:
        if client_error_in(error) is None and not (isinstance(error, TextTooLongError) and is_refusal(hook, error)):
            handle_failure(hook, run.args[0], error)
        return False

    def outcome(self, run: _Run) -> Any:
        return run.stop

    async def abandon(self, run: _Run) -> None:
        """Release what hooks left: the phase was cancelled, and has no outcome."""


class _Run:
    """A phase off its fast path: the hooks, where it stands, and what came of it so far."""

    __slots__ = ("args", "given", "hooks", "index", "rules", "stop")

    def __init__(self, rules: _Rules, hooks: Hooks, index: int, args: tuple[Any, ...]) -> None:
        self.rules = rules
        self.hooks = hooks
        self.index = index
        """Of the next hook."""
        self.args = args
        self.given = args[-1]
        """In the response phase the response that it began with."""
        self.stop: Stop | None = None

    def advance(self) -> tuple[Hook, Awaitable[object]] | None:
        """Run hooks until the phase is over (None) or one must be awaited."""
        hooks, rules = self.hooks, self.rules
        while self.index < len(hooks):
            hook = hooks[self.index]
            self.index += 1
            try:
                hook.counts.calls += 1
                result = hook.call(*self.args)
            except ANYTHING as error:
                if rules.fail(self, hook, error):
                    return None
                continue
            if result is None:
                continue
            if isinstance(result, Awaitable):
                return hook, result
            if rules.settle(self, hook, result):
                return None
        return None


def _go_on(
    rules: _Rules, hooks: Hooks, hook: Hook | None, args: tuple[Any, ...], result: object, error: BaseException | None
) -> Any:
    """Go on behind a hook that did not simply return None; return what the phase came to, or `Suspended`."""
    assert hook is not None
    run = _Run(rules, hooks, hooks.index(hook) + 1, args)
    if error is not None:
        is_over = rules.fail(run, hook, error)
    elif isinstance(result, Awaitable):
        return Suspended(run, hook, result)
    else:
        is_over = rules.settle(run, hook, result)
    found = None if is_over else run.advance()
    return rules.outcome(run) if found is None else Suspended(run, *found)


# -- before the upstream


class _Decision(_Rules):
    """A response ends the phase, and so does the id of another route in the route-match phase."""

    def settle(self, run: _Run, hook: Hook, result: object) -> bool:
        if isinstance(result, Response):
            if (error := _missing(result)) is not None:
                return self.fail(run, hook, error)
            run.stop = Stop(own_response(hook, result), hook)
        elif isinstance(result, str) and hook.phase == "gateway_route_match":
            run.stop = Stop(result, hook)
        else:
            return self.fail(run, hook, wrong_result(hook, result))
        return True

    def fail(self, run: _Run, hook: Hook, error: BaseException) -> bool:
        run.stop = _failed(hook, run.args[0], error)
        return run.stop is not None


class _Attempt(_Decision):
    """Only a failure ends the phase."""

    settle = _Rules.settle


_DECISION: Final = _Decision()
_ATTEMPT: Final = _Attempt()
Decided = Stop | Suspended[Stop | None] | None


def start_phase(hooks: Hooks, request: Request, route: RouteInfo | None = _ABSENT) -> Decided:
    """Run the hooks of a phase before the upstream, in order, until one responds or must be awaited.

    :param route: in the route match phase only: the route or None.
    :returns: None if all let the request pass; `Stop`; or `Suspended`, whose ``finish()`` gives one of the two.
    :raises ClientGoneError: a hook read the request's body and the client left meanwhile.
    """
    if route is _ABSENT:
        found = start_pre_proxy_phase(hooks, request)
        return found.with_copy() if type(found) is Stop else found
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request, route)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        failure = error
    outcome: Decided = _go_on(_DECISION, hooks, hook, (request, route), result, failure)
    return outcome


def start_pre_proxy_phase(hooks: Hooks, request: Request) -> Decided:
    """Run hooks that get the request alone, as `start_phase` does; a response may be the plugin's own, not a copy."""
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        failure = error
    if failure is None and isinstance(result, Response) and type(result.body) is bytes:  # the usual end
        assert hook is not None
        return Stop(result, hook)
    outcome: Decided = _go_on(_DECISION, hooks, hook, (request,), result, failure)
    return outcome


def start_attempt_phase(hooks: Hooks, request: Request, attempt: UpstreamAttempt) -> Decided:
    """Run the hooks of an attempt, in order, just before its head is written.

    :returns: None to send it; `Stop` if one failed and its binding denies, which ends the request without a retry; or
        `Suspended`, whose ``finish()`` gives one of the two.
    """
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request, attempt)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        failure = error
    outcome: Decided = _go_on(_ATTEMPT, hooks, hook, (request, attempt), result, failure)
    return outcome


def _failed(hook: Hook, request: Request, error: BaseException) -> Stop | None:
    """Apply the binding's policy to a failure before the upstream."""
    binding = hook.binding
    gone = client_error_in(error)
    if gone is not None:
        if binding.quarantine is not None:
            binding.quarantine.abandoned()
        raise gone
    if is_refusal(hook, error):
        return None if binding.is_shadow else Stop(problem_of(error), hook, describe(error))
    if not handle_failure(hook, request, error):
        return None
    return Stop(problem_of(error), hook, f"{binding} failed in {hook.phase}: {describe(error)}")


def reject_result(stop: Stop, request: Request, why: str) -> Stop | None:
    """Count what a hook decided as its failure, such as an unknown route's id.

    :param why: what is wrong with it.
    :returns: the stop to go on with, or None if the binding's policy is to continue.
    """
    return _failed(stop.hook, request, HookResultError(why))


def _missing(response: Response) -> FileNotFoundError | None:
    """Return the error of a response whose body is a file that cannot be read."""
    body = response.body
    if isinstance(body, Path) and not (body.is_file() and os.access(body, os.R_OK)):
        return FileNotFoundError(f"the body {str(body)!r} is no file that can be read")
    return None


# -- the response


class _Responding(_Rules):
    """Each hook sees what the one before it left, and may replace it."""

    def settle(self, run: _Run, hook: Hook, result: object) -> bool:
        if not isinstance(result, Response):
            return self.fail(run, hook, wrong_result(hook, result))
        request, response = run.args
        if (error := _missing(result)) is not None:
            return self.fail(run, hook, error)
        if result is not response:
            run.args = request, own_response(hook, result)
            run.args[1].replaces(response)
        return False

    def fail(self, run: _Run, hook: Hook, error: BaseException) -> bool:
        if isinstance(error, TextTooLongError) and is_refusal(hook, error):
            denies = not hook.binding.is_shadow
        else:
            denies = handle_failure(hook, run.args[0], error)
        if denies:
            request, response = run.args
            run.args = request, problem_of(error)
            run.args[1].replaces(response)
        return False

    def outcome(self, run: _Run) -> Any:
        return run.args[1]

    async def abandon(self, run: _Run) -> None:
        response = run.args[1]
        if response is not run.given:  # that one has an owner, who ends it
            await close_bodies(response, run.given)


_RESPONDING: Final = _Responding()


def start_response_phase(hooks: Hooks, request: Request, response: Response) -> Response | Suspended[Response]:
    """Run the response hooks, each of which may change the response or replace it.

    :returns: the response to send, or `Suspended`, whose ``finish()`` gives it. A failing hook of a binding that denies
        replaces the response by a 500, which the hooks after it then see.
    """
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request, response)
            if result is not None:
                break
        else:
            return response
    except ANYTHING as error:
        failure = error
    outcome: Response | Suspended[Response] = _go_on(_RESPONDING, hooks, hook, (request, response), result, failure)
    return outcome


# -- the log


_LOGGING: Final = _Rules()


def start_log_phase(hooks: Hooks, request: Request, response: Response, record: Record) -> Suspended[None] | None:
    """Run every log hook, whatever the others do.

    :returns: None when all is done, or `Suspended`. What a hook raises is counted and reported, never raised.
    """
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request, response, record)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        failure = error
    outcome: Suspended[None] | None = _go_on(_LOGGING, hooks, hook, (request, response, record), result, failure)
    return outcome


for _caller in (
    start_phase, start_pre_proxy_phase, start_attempt_phase, start_response_phase, start_log_phase, _Run.advance,
    Suspended.finish,
):  # fmt: skip
    calls_hooks(_caller)
