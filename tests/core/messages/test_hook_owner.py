from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway_core.messages.hook_owner import HookOwner, calls_hooks, running_hook
from gateway_core.tasks import spawn


class Owner:
    def body_failed(self, request: Any, error: BaseException) -> None: ...


@calls_hooks
def call(hook: HookOwner, function: Callable[[], HookOwner | None]) -> HookOwner | None:
    return function()


@calls_hooks
async def wait(hook: HookOwner, function: Callable[[], Any]) -> HookOwner | None:
    found: HookOwner | None = await function()
    return found


def test_the_innermost_hook_is_found_on_the_stack() -> None:
    outer, inner = Owner(), Owner()

    assert call(outer, running_hook) is outer
    assert call(outer, lambda: call(inner, running_hook)) is inner
    assert running_hook() is None


async def test_a_hook_is_found_behind_what_it_awaits() -> None:
    owner = Owner()

    async def hook() -> HookOwner | None:
        await asyncio.sleep(0)
        return running_hook()

    assert await wait(owner, hook) is owner
    assert await wait(owner, lambda: spawn(hook(), name="of a hook")) is None
