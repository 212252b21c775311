"""Which hook started a task by asyncio's own means: `asyncio.create_task`, a TaskGroup, a library.

asyncio reports what such a task raises when nothing has awaited it by the time it is freed, to the exception handler of
the loop, which knows the task alone. So a task that a hook starts is made as a `HookTask`, which keeps the hook. Tasks
of the gateway's own do not come here: `gateway_core.tasks.spawn` makes them without the loop's factory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from gateway_core.events import PLUGIN_TASK_FAILED, Repeats, emit, repeated
from gateway_core.hooks.chain import Hook
from gateway_core.hooks.failure_log import describe
from gateway_core.messages.hook_owner import awaited_hook, running_hook
from gateway_core.metrics.catalogue import PLUGIN_TASK_ERRORS


class HookTask(asyncio.Task[Any]):
    """A task that a hook started, or another task of its own."""

    hook: Hook


def name_hook_tasks(loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
    """Have the failures of tasks that hooks start in this loop counted and logged with their binding."""
    loop.set_task_factory(_make_task)
    loop.set_exception_handler(partial(_report, Repeats(), now))


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    context: Context | None = None,
    **options: Any,
) -> asyncio.Task[Any]:
    hook = running_hook()
    if not isinstance(hook, Hook):
        return asyncio.Task(coro, loop=loop, context=context, **options)
    if context is None:
        context = copy_context()
        context.run(awaited_hook.set, hook)  # the tasks that this one starts are the hook's as well
    task = HookTask(coro, loop=loop, context=context, **options)
    task.hook = hook
    return task


def _report(
    repeats: Repeats, now: Callable[[], float], loop: asyncio.AbstractEventLoop, failure: dict[str, Any]
) -> None:
    task, error = failure.get("future"), failure.get("exception")
    if not isinstance(task, HookTask) or error is None:
        loop.default_exception_handler(failure)
        return
    hook, binding = task.hook, task.hook.binding
    binding.instance.metrics.count(PLUGIN_TASK_ERRORS, binding.plugin, binding.id)
    reason = describe(error)
    count = repeats.count((binding.path, hook.phase, type(error)), now())
    if count:
        emit(
            PLUGIN_TASK_FAILED,
            f"task {task.get_name()}, which {hook.phase} of {binding} started, failed: {reason}{repeated(count)}",
            error=error,
            logger=binding.instance.log,
            plugin=binding.plugin,
            binding=binding.path,
            reason=reason,
            count=count,
        )
