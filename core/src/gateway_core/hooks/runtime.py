"""What a plugin instance may use beside its hooks: shared values, background work, commands of all workers.

The process gives each instance one `PluginRuntime`. It knows where shared values are kept and how workers are reached
only by two functions, so that plugins run alike in one process, under a supervisor, in a trial and in the test kit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway_core.clock import SystemClock
from gateway_core.errors import GatewayError
from gateway_core.events import PLUGIN_STOP_FAILED, PLUGIN_TASK_FAILED, emit
from gateway_core.hooks.failure_log import describe
from gateway_core.hooks.fetch import Fetcher, Upstreams, no_upstreams
from gateway_core.hooks.shared import LocalShared, Shared, SharedBackend
from gateway_core.hooks.shared_store import SharedStores
from gateway_core.hooks.single_flight import SingleFlight
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import PLUGIN_TASK_ERRORS
from gateway_core.tasks import spawn

T = TypeVar("T")


class CommandError(GatewayError):
    """A command that `Plugin.everywhere` ran failed in a worker, is unknown, or refused its arguments."""


class Everywhere(Protocol):
    """Runs a command of a binding in every worker."""

    async def __call__(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[Any]:
        """Return the result of each worker, in the order of their numbers.

        :raises CommandError: a worker fails, or is gone.
        """
        ...


async def _nowhere(binding: str, command: str, arguments: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - an Everywhere
    raise CommandError(f"command {command!r} of binding {binding!r}: no configuration is in force here")


def _local() -> SharedBackend:
    return LocalShared(SharedStores(), SystemClock())


@dataclass(frozen=True, slots=True)
class PluginServices:
    """What the process offers to all instances; values of its own and no workers unless given."""

    shared: SharedBackend = field(default_factory=_local)
    everywhere: Everywhere = _nowhere
    fetch: Fetcher = no_upstreams


class PluginRuntime:
    """What one instance uses; ends with it. There are thousands, most of which use nothing: it is made when used."""

    __slots__ = ("_closed", "_flights", "_log", "_metrics", "_plugin", "_services", "_tasks", "path")

    def __init__(
        self,
        plugin: str = "",
        path: str = "",
        *,
        services: PluginServices | None = None,
        metrics: Metrics | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        """Serve an instance.

        :param path: what identifies the binding (see `gateway_core.hooks.binding.binding_path`).
        """
        self.path = path
        self._plugin = plugin
        self._services = services or PluginServices()
        self._metrics = metrics
        self._log = log or logging.getLogger("gateway.plugins")
        self._flights: SingleFlight | None = None
        self._tasks: set[asyncio.Task[Any]] | None = None
        self._closed = False

    @property
    def shared(self) -> Shared:
        """The values of the binding; see `Plugin.shared`."""
        return Shared(self._services.shared, shared_owner(self._plugin, self.path))

    @property
    def upstreams(self) -> Upstreams:
        """What sends requests to upstreams; see `Plugin.upstreams`."""
        return Upstreams(self._services.fetch)

    @property
    def is_used(self) -> bool:
        """Whether anything ever ran in the background, so that its end has to be awaited."""
        return self._tasks is not None or self._flights is not None

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in the background, in an empty context; see `Plugin.spawn`."""
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"spawn takes a coroutine, not {coroutine!r}: call the async function")
        name = getattr(coroutine, "__qualname__", repr(coroutine))
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"binding {self.path!r} has been stopped: it cannot start {name}")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            coroutine.close()
            text = f"binding {self.path!r} cannot start {name} from a thread: spawn from start() or an async hook"
            raise RuntimeError(text) from None
        task = spawn(
            _without_exit(coroutine), name=f"binding {self.path!r}, {name}", on_error=self._failed, context=Context()
        )
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is cancelled before its first step would be reported as never awaited.
        task.add_done_callback(lambda _: coroutine.close())
        return task

    def _failed(self, error: BaseException) -> None:
        if self._metrics is not None:
            self._metrics.count(PLUGIN_TASK_ERRORS, self._plugin, self.path.rpartition("/")[2])
        reason = describe(error)
        emit(
            PLUGIN_TASK_FAILED,
            f"a background task of binding {self.path!r} failed: {reason}",
            error=error,
            logger=self._log,
            plugin=self._plugin,
            binding=self.path,
            reason=reason,
        )

    async def once(self, key: Hashable, factory: Callable[[], Awaitable[T]]) -> T:
        """Run a factory once for all callers that wait; see `Plugin.once`."""
        if self._flights is None:
            self._flights = SingleFlight(f"binding {self.path!r}")
            if self._closed:
                self._flights.close()
        return await self._flights.run(key, factory)

    async def everywhere(self, command: str, arguments: Mapping[str, Any]) -> list[Any]:
        """Run a command in every worker; see `Plugin.everywhere`."""
        return await self._services.everywhere(self.path, command, arguments)

    async def aclose(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - of the tasks
        """Cancel what runs in the background, and wait for its end for some seconds. Safe to call twice."""
        self._closed = True
        current = asyncio.current_task()
        runs = () if self._flights is None else self._flights.close()
        ending = {task for task in (*(self._tasks or ()), *runs) if task is not current}
        for task in ending:
            task.cancel()
        if not ending:
            return
        _, left = await asyncio.wait(ending, timeout=timeout)
        for task in left:
            reason = f"{task.get_name()} does not end although it was cancelled: it is left behind"
            emit(PLUGIN_STOP_FAILED, reason, logger=self._log, plugin=self._plugin, reason=reason)


def shared_owner(plugin: str, path: str) -> str:
    """Return the key of a binding's shared values: another plugin under the same id must not see them."""
    return f"{plugin}:{path}"


async def _without_exit(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        # asyncio keeps neither in a task: it would stop the event loop.
        raise GatewayError(f"it raised {type(error).__name__}") from error
